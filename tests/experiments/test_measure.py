"""`evaluate`: a ticket's accuracy, as the run measured it."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from commands import TINY, finished, refusal, result_of, ticket_of, tombola, write_module
from tombola import Source, Ticket, models
from tombola.experiments import machine
from tombola.experiments import measure as measure_module
from tombola.experiments.config import RunConfig
from tombola.experiments.evaluation import evaluate


def measured(*arguments: str | Path) -> dict[str, Any]:
    ended = tombola("evaluate", *arguments, "--json")
    result: dict[str, Any] = json.loads(ended.out)
    slow = machine.emulation(RunConfig(device="cpu", precision=result["precision"]))
    heard = f"tombola: warning: {slow}\n" if slow else ""
    assert (ended.status, ended.err) == (0, heard), ended
    return result


@pytest.mark.parametrize("options", [(), ("--precision", "bfloat16"), ("--validation", "0")])
def test_the_accuracy_is_the_runs(options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """In the precision that the ticket was found with, whatever this machine would choose."""
    folder = finished("search", *options)
    for native in (True, False):
        monkeypatch.setattr("tombola.experiments.machine.has_bfloat16", lambda _, answer=native: answer)
        result = measured(folder / "ticket.tombola")
        assert result["test_accuracy"] == result_of(folder)["test_accuracy"]
        assert result["precision"] == result_of(folder)["precision"]
    assert result["examples"] == 359
    assert (result["data"], result["model"]) == ("digits", "mlp")
    assert result["ticket_bytes"] == result_of(folder)["ticket_bytes"]


def test_what_is_given_counts_more_than_the_metadata() -> None:
    path = finished() / "ticket.tombola"
    same = measured(path, "--data", "digits", "--model", "mlp", "--width", "0.1", "--precision", "float32")
    assert same == measured(path)
    assert measured(path, "--precision", "bfloat16")["precision"] == "bfloat16"
    assert "(128, 64)" in refusal("evaluate", path, "--width", "0.5")


CODE = """
import pathlib
from torch import nn
pathlib.Path("ran").touch()
def net(width, in_channels, classes): return nn.Sequential(nn.Flatten(), nn.Linear(64, classes))
"""


def test_a_ticket_is_never_followed_to_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_module(monkeypatch, tmp_path, "user_code", CODE)
    assert tombola("search", *TINY, "--model", "user_code:net", "--out", "run").status == 0
    Path("ran").unlink()
    monkeypatch.delitem(sys.modules, "user_code")
    line = refusal("evaluate", "run/ticket.tombola")
    assert "asks to import 'user_code:net'" in line
    assert "--model" in line
    for command in ("inspect", "verify"):
        assert tombola(command, "run/ticket.tombola").status == 0
    assert not Path("ran").exists()
    result = measured("run/ticket.tombola", "--model", "user_code:net")
    assert Path("ran").exists()
    assert result["test_accuracy"] == result_of(Path("run"))["test_accuracy"]


def ticket_with(tmp_path: Path, **metadata: str) -> Path:
    """A ticket made in Python, which says of itself what its maker wrote, not what a run does."""
    model = models.mlp(width=0.1, in_channels=1, classes=10, image_size=8)
    source = Source(model)
    Ticket.from_mask(source, source.mask, metadata=metadata).save(tmp_path / "t.tombola")
    return tmp_path / "t.tombola"


def test_a_ticket_of_ones_own(tmp_path: Path) -> None:
    """The public contract's metadata={"dataset": …}, and no more: the rest is given, or the data's own."""
    path = ticket_with(tmp_path, dataset="digits")
    assert "names no model: give one with --model" in refusal("evaluate", path)
    result = measured(path, "--model", "mlp", "--width", "0.1")
    assert 0 <= result["test_accuracy"] <= 1
    assert "names no data set: give one with --data" in refusal("evaluate", ticket_with(tmp_path))
    assert measured(ticket_with(tmp_path), "--data", "digits", "--model", "mlp", "--width", "0.1") == {
        **result,
        "ticket_bytes": ticket_with(tmp_path).stat().st_size,
    }


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("width", "wide"),
        ("width", "-1"),
        ("width", "[1, 2]"),
        ("mean", "0.5, 0.5"),
        ("mean", "[0.1, 0.2]"),
        ("mean", '["a"]'),
        ("mean", "[NaN]"),
        ("mean", "{}"),
        ("std", "[0.0]"),
        ("std", "[Infinity]"),
        ("std", "null"),
    ],
)
def test_metadata_that_cannot_be_used(tmp_path: Path, key: str, value: str) -> None:
    metadata = {"dataset": "digits", "model": "mlp", "width": "0.1", "mean": "[0.3]", "std": "[0.4]"}
    assert measured(ticket_with(tmp_path, **metadata))["examples"] == 359
    line = refusal("evaluate", ticket_with(tmp_path, **{**metadata, key: value}))
    assert repr(key) in line
    assert repr(value) in line


@pytest.mark.parametrize("key", ["dataset", "model"])
@pytest.mark.parametrize("value", ["x" * 9**5, "a:" * 9**5])
def test_long_metadata_do_not_become_long_lines(tmp_path: Path, key: str, value: str) -> None:
    path = ticket_with(tmp_path, **{"dataset": "digits", "model": "mlp", key: value})
    assert len(refusal("evaluate", path)) < 400


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--image-size", "0"), "image_size must be at least 1 and finite, got 0"),
        (("--workers", "-3"), "workers must be at least 0 and finite, got -3"),
    ],
)
def test_options_that_cannot_be(tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    path = ticket_with(tmp_path, dataset="digits", model="mlp", width="0.1")
    assert said in refusal("evaluate", path, *options)


SETTINGS = ["{}", "[]", "not json", '{"precision": "float8"}', '{"precision": []}', "[" * 9**5]


@pytest.mark.parametrize("settings", SETTINGS)
def test_metadata_without_a_known_precision_leave_it_to_the_machine(
    tmp_path: Path, settings: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tombola.experiments.machine.has_bfloat16", lambda _: False)
    path = ticket_with(tmp_path, dataset="digits", model="mlp", width="0.1", settings=settings)
    assert measured(path)["precision"] == "float32"


def test_the_images_are_normalised_as_they_were_for_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the moments of the search's training images, which are fewer than `evaluate` sees."""
    seen = []
    real = evaluate

    def spy(*arguments: Any) -> Any:
        seen.append(arguments[1])
        return real(*arguments)

    monkeypatch.setattr(measure_module, "evaluate", spy)
    measured(finished() / "ticket.tombola")
    (dataset,) = seen
    metadata = ticket_of(finished()).metadata
    assert list(dataset.mean) == json.loads(metadata["mean"])
    assert list(dataset.std) == json.loads(metadata["std"])
    assert len(dataset.train) == 1797 - 359
    assert replace(dataset, mean=(0.0,)).mean != dataset.mean
