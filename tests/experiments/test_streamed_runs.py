"""Whole runs on images that are read as they are needed: stopped and resumed, and measured again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from resume_helpers import assert_same, stopped_at

from commands import refusal, result_of, ticket_of, tombola
from photos import image_folders

_RUN = """--image-size 16 --model conv2 --width 0.1 --epochs 2 --batch-size 8 --lr 0.1 --period 3 --rate 0.5
--validation 0.25 --threads 1 --precision float32"""
RUN = _RUN.split()
STEPS = 3


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_folders(tmp_path_factory.mktemp("data") / "photos", train=12)


@pytest.fixture(scope="module")
def whole(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never stopped, without workers."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert tombola("search", "--data", images, *RUN, "--workers", "0", "--out", folder).status == 0
    return folder


@pytest.mark.parametrize("at", [2, STEPS + 3])
def test_a_search_stopped_and_resumed_ends_with_the_same_ticket(
    images: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """With other workers before and after: they are no part of what a run is."""
    folder = tmp_path / "run"
    line = stopped_at(monkeypatch, at, "search", "--data", images, *RUN, "--workers", "2", "--out", folder)
    assert "interrupted in epoch" in line
    assert tombola("search", "--resume", "--workers", "1", "--out", folder).status == 0
    assert_same(folder, whole, "ticket.tombola", "config.toml", "examples.npz")


def test_a_ticket_is_measured_on_images_of_its_size(images: Path, whole: Path) -> None:
    ended = tombola("evaluate", whole / "ticket.tombola", "--data", images, "--workers", "0", "--json")
    assert ended.status == 0, ended
    assert json.loads(ended.out)["test_accuracy"] == result_of(whole)["test_accuracy"]
    assert ticket_of(whole).metadata["image_size"] == "16"
    assert json.loads(ticket_of(whole).metadata["mean"]) == [0.485, 0.456, 0.406]
    options = ["--image-size", "24", "--workers", "0"]
    # The model's first linear layer is for as many pixels as there were.
    assert "fc1.weight" in refusal_of(
        tombola("evaluate", whole / "ticket.tombola", "--data", images, *options).err
    )


def refusal_of(err: str) -> str:
    return err.splitlines()[-1]


def test_pictures_show_the_crops(whole: Path, tmp_path: Path) -> None:
    assert tombola("report", whole, "--png", tmp_path / "r.png").status == 0


def test_training_and_methods_that_look_at_batches_first(images: Path, tmp_path: Path) -> None:
    options = [option for option in RUN if option not in ("--period", "--rate", "3", "0.5")]
    for method in ("dense", "snip"):
        extra = ["--density", "0.5"] if method == "snip" else []
        ended = tombola(
            "train",
            "--data",
            images,
            *options,
            "--method",
            method,
            *extra,
            "--workers",
            "0",
            "--out",
            tmp_path / method,
        )
        assert ended.status == 0, ended


def test_other_images_are_not_resumed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = image_folders(tmp_path / "data", train=12)
    stopped_at(monkeypatch, 2, "search", "--data", data, *RUN, "--workers", "0", "--out", tmp_path / "run")
    path = data / "train" / "n01" / "000.JPEG"
    path.write_bytes(path.read_bytes() + b"\0")
    ended = tombola("search", "--resume", "--workers", "0", "--out", tmp_path / "run")
    assert ended.status == 2
    assert "its checkpoint was made on other data than the data found now" in ended.err


def test_a_damaged_image_ends_the_run_in_one_line(tmp_path: Path) -> None:
    data = image_folders(tmp_path / "data", train=12)
    path = data / "train" / "n01" / "004.JPEG"
    path.write_bytes(path.read_bytes()[:150])
    ended = tombola(
        "search", "--data", data, *RUN, "--validation", "0", "--workers", "1", "--out", tmp_path / "r"
    )
    assert ended.status == 2
    assert f"tombola: {path}: cannot decode the image" in ended.err.splitlines()[-1]
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--workers", "-1", "workers must be at least 0"),
        ("--image-size", "0", "image_size must be at least 1"),
    ],
)
def test_options_that_cannot_be(option: str, value: str, said: str) -> None:
    assert said in refusal("search", option, value)
