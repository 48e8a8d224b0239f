"""Reading the folders of finished runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from commands import copy_of_finished, finished, metrics_of, result_of
from tombola.errors import RunError
from tombola.report.record import Record


def test_a_search() -> None:
    record, result = Record.read(finished()), result_of(finished())
    assert record.validated
    assert record.epochs == [1, 2]
    assert record.accuracies == [row["validation_accuracy"] for row in metrics_of(finished())]
    assert record.result == result
    assert record.nbytes == result["ticket_bytes"]
    size = f"{result['ticket_bytes'] / 1000:.1f} kB"
    assert record.title == f"iterand: 50 % of the weights, none trained, {size}"
    assert record.images.shape == (24, 8, 8, 1)
    assert record.class_names == list("0123456789")


def test_dense_training() -> None:
    record = Record.read(finished("train"))
    assert record.nbytes == result_of(finished("train"))["model_bytes"]
    assert record.title == f"dense: all weights, trained, {record.nbytes / 1000:.0f} kB"


def test_the_title_of_a_sparse_training() -> None:
    record = Record.read(finished("train", "--method", "random", "--density", "0.25"))
    assert record.title.startswith("random: 25 % of the weights, trained, ")


def test_without_validation_the_curve_is_of_the_training_images() -> None:
    folder = finished("search", "--validation", "0")
    record = Record.read(folder)
    assert not record.validated
    assert record.accuracies == [row["train_accuracy"] for row in metrics_of(folder)]


@pytest.mark.parametrize("name", ["result.json", "metrics.jsonl", "examples.npz"])
def test_an_unfinished_run_is_refused_by_name(tmp_path: Path, name: str) -> None:
    folder = copy_of_finished(tmp_path / "run")
    (folder / name).unlink()
    with pytest.raises(RunError) as caught:
        Record.read(folder)
    assert str(caught.value) == f"{folder} holds no finished run: {name} is missing"


def test_no_folder_at_all(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"nothing holds no finished run: result\.json is missing"):
        Record.read(tmp_path / "nothing")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"file holds no finished run: result\.json is missing"):
        Record.read(tmp_path / "file")


def without(key: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        result = result_of(folder)
        del result[key]
        (folder / "result.json").write_text(json.dumps(result))

    return remove


def texts(name: str, text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_text(text)

    return write


def answers_beyond_the_classes(folder: Path) -> None:
    with np.load(folder / "examples.npz") as examples:
        arrays = {name: examples[name] for name in examples.files}
    np.savez(folder / "examples.npz", **{**arrays, "answers": arrays["answers"] + 10})


def pickled_examples(folder: Path) -> None:
    np.savez(folder / "examples.npz", images=np.array([print], dtype=object))


@pytest.mark.parametrize(
    "damage",
    [
        texts("result.json", "{"),
        texts("result.json", "[]"),
        texts("metrics.jsonl", ""),
        texts("metrics.jsonl", "{}\n"),
        texts("metrics.jsonl", '{"epoch": 1'),
        texts("examples.npz", ""),
        texts("examples.npz", "PK no zip"),
        without("test_accuracy"),
        without("model"),
        answers_beyond_the_classes,
        pickled_examples,
    ],
)
def test_a_damaged_record_is_refused_by_name(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    folder = copy_of_finished(tmp_path / "run")
    damage(folder)
    with pytest.raises(RunError) as caught:
        Record.read(folder)
    assert str(caught.value).startswith(f"the records in {folder} are damaged: ")
    assert "\n" not in str(caught.value)
