"""--tensorboard: event files say what metrics.jsonl says, whatever befell the run, and change nothing."""

from __future__ import annotations

import errno
import itertools
import json
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kill_helpers import ended, start
from resume_helpers import OPTIONS, assert_same, stopped_at
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.metadata import SESSION_END_INFO_TAG, SESSION_START_INFO_TAG
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.summary.writer.record_writer import RecordWriter

from commands import (
    STEPS,
    TINY,
    copy_of_finished,
    everything_in,
    finished,
    refusal,
    result_of,
    tombola,
)
from tombola.experiments import tensorboard

COMMAND = ("search", *TINY, *OPTIONS, "--tensorboard", "--resume", "--out")


def read(folder: Path) -> Any:
    """What TensorBoard finds in the folder of a run: all of it, not a sample."""
    found = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0, "tensors": 0})
    found.Reload()
    return found


def assert_the_curve_is_that_of_the_metrics(folder: Path) -> None:
    """Every epoch once, in order, and every figure."""
    found, rows = read(folder), [json.loads(line) for line in (folder / "metrics.jsonl").open()]
    numbers = {name for name, value in rows[0].items() if value is not None} - {"epoch"}
    tags = {tag.removeprefix("metrics/") for tag in found.Tags()["scalars"] if tag.startswith("metrics/")}
    assert tags == numbers
    for name in numbers:
        curve = found.Scalars(f"metrics/{name}")
        assert [event.step for event in curve] == [row["epoch"] for row in rows]
        assert [event.value for event in curve] == [float(np.float32(row[name])) for row in rows]
    times = [event.wall_time for event in found.Scalars("metrics/loss")]
    assert np.diff(times) == pytest.approx(np.diff([row["seconds"] for row in rows]), abs=0.001)


def test_a_search_with_event_files() -> None:
    folder, plain = finished("search", "--tensorboard"), finished("search")
    assert_the_curve_is_that_of_the_metrics(folder)
    # A recording: not a byte of what counts is another.
    assert_same(folder, plain, "ticket.tombola", "config.toml", "layers.json", "examples.npz")
    files = {name for name in everything_in(folder) if not name.startswith("tensorboard/")}
    assert files == set(everything_in(plain))


def test_results_and_layers_are_at_the_last_epoch() -> None:
    folder = finished("search", *OPTIONS, "--source-density", "0.5", "--density", "0.2", "--tensorboard")
    found, result = read(folder), result_of(folder)
    for name in ("test_accuracy", "density", "bits_per_weight", "seconds"):
        (event,) = found.Scalars(f"result/{name}")
        assert (event.step, event.value) == (2, float(np.float32(result[name])))
    tensors = json.loads((folder / "layers.json").read_text())["tensors"]
    assert len(tensors) == 3
    for tensor in tensors:
        for tag, count in (("density", tensor["kept"]), ("source_density", tensor["alive"])):
            (event,) = found.Scalars(f"{tag}/{tensor['name']}")
            assert event.value == float(np.float32(count / tensor["weights"]))
        (event,) = found.Scalars(f"redrawn/{tensor['name']}")
        first = sum(number for generation, number in tensor["generations"] if generation == 0)
        assert event.value == pytest.approx(1 - first / tensor["kept"])


def test_the_configuration_is_there_to_read_and_to_compare_by() -> None:
    folder = finished("search", *OPTIONS, "--tensorboard")
    found = read(folder)
    (text,) = found.Tensors("config.toml/text_summary")
    lines = text.tensor_proto.string_val[0].decode().splitlines()
    assert [line.strip() for line in lines] == (folder / "config.toml").read_text().splitlines()
    said = {
        tag: HParamsPluginData.FromString(content)
        for tag, content in found.PluginTagToContent("hparams").items()
    }
    settings = said[SESSION_START_INFO_TAG].session_start_info.hparams
    assert settings["period"].number_value == 7
    assert settings["method"].string_value == "iterand"
    assert settings["source_mask"].string_value == "None"
    assert not {"out", "data_dir", "resume", "tensorboard"} & set(settings)
    assert SESSION_END_INFO_TAG in said


@pytest.mark.parametrize("options", [(), ("--method", "rigl", "--density", "0.3", "--validation", "0")])
def test_training_too(options: tuple[str, ...]) -> None:
    folder = finished("train", *options, "--tensorboard")
    assert_the_curve_is_that_of_the_metrics(folder)
    tags = read(folder).Tags()["scalars"]
    assert ("density/fc1.weight" in tags) == bool(options)  # of dense training there are no layers to tell
    assert not any(tag.startswith("redrawn/") for tag in tags)


# Between two epochs nothing is lost, nor of an epoch that had not got as far as its line.
MOMENTS = {
    "in the second epoch": ("step", STEPS + 3),
    "checkpoint without metrics": ("flush .metrics.jsonl", 0),
    "first step": ("step", 0),
    "no result": ("rename .result.json", 0),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_and_resumed(tmp_path: Path, moment: str) -> None:
    folder = tmp_path / "run"
    what, at = MOMENTS[moment]
    assert ended(start([*COMMAND, str(folder)], folder, at, what)) == -signal.SIGKILL
    # Not asked for again: that it has begun with them is enough.
    assert tombola("search", "--resume", "--out", folder).status == 0
    assert_the_curve_is_that_of_the_metrics(folder)
    assert len([path for path in (folder / "tensorboard").iterdir() if path.stat().st_size]) == 1
    assert len(read(folder).Scalars("result/test_accuracy")) == 1
    assert_same(folder, finished("search", *OPTIONS), "ticket.tombola", "config.toml", "layers.json")


def test_asked_for_later_the_first_epochs_are_there_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    stopped_at(monkeypatch, STEPS + 6, "search", *TINY, *OPTIONS, "--out", folder)
    assert not (folder / "tensorboard").exists()
    assert tombola(*COMMAND, folder).status == 0
    assert_the_curve_is_that_of_the_metrics(folder)


def test_a_tensorboard_that_looks_on_while_the_run_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has read the file of the first process, which is then emptied; others' files in the folder stay."""
    folder = tmp_path / "run"
    stopped_at(monkeypatch, STEPS + 6, *COMMAND, folder)
    (folder / "tensorboard/notes.txt").write_text("mine")
    looking = read(folder)
    assert [event.step for event in looking.Scalars("metrics/loss")] == [1]
    assert tombola(*COMMAND, folder).status == 0
    looking.Reload()
    assert [event.step for event in looking.Scalars("metrics/loss")] == [1, 2]
    assert (folder / "tensorboard/notes.txt").read_text() == "mine"


def test_a_finished_run_is_left_as_it_is(tmp_path: Path) -> None:
    folder = copy_of_finished(tmp_path / "run", "search", *OPTIONS, "--tensorboard")
    before = everything_in(folder)
    assert tombola(*COMMAND, folder).status == 0
    assert everything_in(folder) == before


def test_repeated_from_its_configuration(tmp_path: Path) -> None:
    """Which says what is computed, and so nothing of recordings."""
    folder = finished("search", *OPTIONS, "--tensorboard")
    assert tombola("search", "--config", folder / "config.toml", "--out", tmp_path / "again").status == 0
    assert_same(tmp_path / "again", folder, "ticket.tombola", "config.toml")
    assert not (tmp_path / "again/tensorboard").exists()


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorboard, "find_spec", lambda _: None)
    line = refusal(*COMMAND, tmp_path / "run")
    assert line == "--tensorboard needs packages that are not installed: pip install 'tombola[tensorboard]'"
    assert list(tmp_path.iterdir()) == []


def test_without_the_package_a_run_that_began_with_it_says_what_it_would_go_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    stopped_at(monkeypatch, STEPS + 6, *COMMAND, folder)
    monkeypatch.setattr(tensorboard, "find_spec", lambda _: None)
    line = refusal("search", "--resume", "--out", folder)
    assert line.startswith(f"going on with {folder / 'tensorboard'} needs packages that are not installed: ")


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written, write = itertools.count(), RecordWriter.write
    told: list[object] = []

    def until_it_is_full(writer: RecordWriter, data: bytes) -> None:
        if next(written) >= 12:
            raise OSError(errno.ENOSPC, "No space left on device", "events")
        write(writer, data)

    monkeypatch.setattr(RecordWriter, "write", until_it_is_full)
    monkeypatch.setattr(threading, "excepthook", told.append)
    failed = tombola(*COMMAND, tmp_path / "run")
    assert (failed.status, failed.out) == (3, "")
    assert failed.complaint.startswith("events: No space left on device (the last checkpoint is kept: ")
    assert told == []  # the writer's thread prints no traceback of its own
    monkeypatch.undo()
    assert tombola(*COMMAND, tmp_path / "run").status == 0
    assert_the_curve_is_that_of_the_metrics(tmp_path / "run")


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").write_text("")
    failed = tombola(*COMMAND, tmp_path)
    assert (failed.status, failed.out) == (3, "")
    assert failed.complaint == f"{tmp_path / 'tensorboard'}: File exists"


def test_a_sweep_records_each_of_its_runs(tmp_path: Path) -> None:
    text = 'seeds = 2\n[options]\nmodel = "mlp"\nwidth = 0.1\nepochs = 1\ntensorboard = true\n'
    (tmp_path / "both.toml").write_text(text)
    swept = tombola("sweep", tmp_path / "both.toml", "--engine", "here", "--out", tmp_path / "runs")
    assert swept.status == 0, swept
    for seed in (0, 1):
        assert_the_curve_is_that_of_the_metrics(tmp_path / "runs" / f"seed={seed}")
