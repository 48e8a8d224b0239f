"""Finding runs below folders, and reading each as far as it has come."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from report_helpers import unfinished, write_run, write_runs

from commands import copy_of_finished, finished, metrics_of, result_of
from tombola.errors import ArgumentError, RunError
from tombola.report.run import Run
from tombola.report.runs import find_runs


def names(*folders: Path) -> list[str]:
    return [run.name for run in find_runs(folders)[0]]


def test_a_finished_run() -> None:
    run = Run.read(finished(), "name")
    assert run.finished
    assert run.result == result_of(finished())
    assert run.nbytes == result_of(finished())["ticket_bytes"]
    assert (run.command, run.settings["model"], run.settings["seed"]) == ("search", "mlp", 0)
    assert run.validated
    assert run.epochs == [1, 2]
    assert run.accuracies == [row["validation_accuracy"] for row in metrics_of(finished())]
    assert run.tensors is not None
    assert [tensor["kept"] for tensor in run.tensors] == [832, 338, 130]


def test_a_run_without_validation_has_the_curve_of_its_training() -> None:
    folder = finished("search", "--validation", "0")
    run = Run.read(folder, "name")
    assert not run.validated
    assert run.accuracies == [row["train_accuracy"] for row in metrics_of(folder)]


def test_a_run_of_an_earlier_version_has_no_layers(tmp_path: Path) -> None:
    folder = copy_of_finished(tmp_path / "run")
    (folder / "layers.json").unlink()
    assert Run.read(folder, "name").tensors is None


def test_an_unfinished_run(tmp_path: Path) -> None:
    run = Run.read(unfinished(tmp_path / "run"), "name")
    assert not run.finished
    assert (run.result, run.nbytes, run.epochs, run.accuracies) == (None, None, [1], [0.3])
    assert (run.value("method"), run.value("seed")) == ("iterand", 0)


def test_runs_are_found_below_folders_in_order(tmp_path: Path) -> None:
    write_runs(tmp_path / "sweep" / "all", 3)
    unfinished(tmp_path / "sweep" / "z")
    (tmp_path / "sweep" / "sweep.toml").write_text("")
    (tmp_path / "sweep" / ".hidden").mkdir()
    shutil.copy(finished() / "result.json", tmp_path / "sweep" / ".hidden")
    assert names(tmp_path / "sweep") == ["all/run-0000", "all/run-0001", "all/run-0002", "z"]


def test_a_run_holds_no_other(tmp_path: Path) -> None:
    shutil.copytree(finished(), write_run(tmp_path / "run") / "inner")
    assert names(tmp_path / "run") == ["run"]


def test_a_run_that_is_named_twice_is_one(tmp_path: Path) -> None:
    write_runs(tmp_path / "all", 2)
    assert names(tmp_path / "all", tmp_path / "all" / "run-0001") == ["all/run-0000", "all/run-0001"]


def test_no_runs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="at least one folder"):
        find_runs([])
    with pytest.raises(RunError, match="nowhere does not exist"):
        find_runs([tmp_path / "nowhere"])
    with pytest.raises(RunError, match=f"{tmp_path} holds no run$"):
        find_runs([tmp_path])


def text(name: str, content: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_text(content)

    return write


def changed(file: str, **values: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        old = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps({**old, **values}))

    return change


@pytest.mark.parametrize(
    "damage",
    [
        text("config.toml", "seed ="),
        text("config.toml", "seed = [1]"),
        text("config.toml", "lr = nan"),
        text("result.json", "{"),
        text("result.json", "[]"),
        text("result.json", "{}"),
        text("metrics.jsonl", "[]\n"),
        text("metrics.jsonl", '{"epoch": 1}\n'),
        text("metrics.jsonl", '{"epoch": 1, "validation_accuracy": NaN}\n'),
        text("metrics.jsonl", '{"epoch": 1'),
        text("layers.json", "{}"),
        text("layers.json", '{"tensors": [3]}'),
        changed("result.json", test_accuracy="high"),
        changed("result.json", test_accuracy=2),
        changed("result.json", seconds=float("nan")),
        changed("result.json", method=None),
        changed("result.json", seed=True),
        changed("result.json", validation_accuracy=7.5),
        changed("result.json", density=-3),
        changed("result.json", seconds=-1),
        changed("result.json", seconds=10**400),
        text("config.toml", f"lr = {10**400}"),
        text("metrics.jsonl", '{"epoch": Infinity, "validation_accuracy": 0.5}\n'),
        text("metrics.jsonl", '{"epoch": 1, "validation_accuracy": 7.5}\n'),
        changed("result.json", digest=float("nan")),
    ],
)
def test_a_damaged_record_is_one_line_and_the_others_are_read(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    write_runs(tmp_path / "all", 3)
    folder = tmp_path / "all" / "run-0001"
    damage(folder)
    runs, (line,) = find_runs([tmp_path / "all"])
    assert [run.name for run in runs] == ["run-0000", "run-0002"]
    assert line.startswith(f"the records in {folder} are damaged: ")
    assert "\n" not in line


def test_impossible_counts_of_a_layer(tmp_path: Path) -> None:
    folder = copy_of_finished(tmp_path / "run")
    layers = json.loads((folder / "layers.json").read_text())
    layers["tensors"][0]["kept"] = 1665
    (folder / "layers.json").write_text(json.dumps(layers))
    with pytest.raises(RunError, match="the counts of fc1.weight in layers.json are impossible"):
        Run.read(folder, "run")
