"""Stopped anywhere and resumed, a run ends with the very bytes of one that was never stopped."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from resume_helpers import OPTIONS, assert_same, stopped_at, stopped_in_the_second_epoch

from commands import (
    STEPS,
    TINY,
    copy_of_finished,
    everything_in,
    finished,
    refusal,
    result_of,
    tombola,
    tombola_process,
    write_module,
)
from tombola import data
from tombola.data import Split


@pytest.mark.parametrize("at", [1, 5, STEPS - 1, STEPS, STEPS + 1, STEPS + 2, 2 * STEPS])
def test_a_search_stopped_at_any_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    folder = tmp_path / "run"
    line = stopped_at(monkeypatch, at, "search", *TINY, *OPTIONS, "--out", folder)
    epoch, step = divmod(at, STEPS + 1)  # the loop asks once more after the epoch
    # After an epoch's last step there is no rest of it to go on with: the epoch is ended first.
    expected = (1, 0) if at == STEPS else (epoch, step)
    assert f"epoch {expected[0] + 1}, step {expected[1]}" in line
    assert f"--resume --out {folder}" in line
    assert not (folder / "result.json").exists()
    # With the folder alone, as the line says: the options are those of the run.
    assert tombola("search", "--resume", "--out", folder).status == 0
    assert_same(folder, finished("search", *OPTIONS), "ticket.tombola", "config.toml", "examples.npz")


def test_stopped_and_resumed_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["search", *TINY, *OPTIONS, "--resume", "--out", str(tmp_path / "run")]
    for _ in range(3):
        stopped_at(monkeypatch, 9, *command)
    assert tombola(*command).status == 0
    assert_same(tmp_path / "run", finished("search", *OPTIONS), "ticket.tombola")


def test_dense_training_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped_at(monkeypatch, STEPS + 4, "train", *TINY, "--out", tmp_path / "run")
    assert tombola("train", "--resume", "--out", tmp_path / "run").status == 0
    assert_same(tmp_path / "run", finished("train"), "model.safetensors")


def test_other_data_are_not_resumed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    stopped_at(monkeypatch, STEPS + 4, "search", *TINY, *OPTIONS, "--out", folder)
    before = everything_in(folder)
    digits = data.load("digits", validation=0.1)
    inverted = replace(digits, train=Split(255 - digits.train.images, digits.train.labels))
    monkeypatch.setattr("tombola.data.load", lambda *_, **__: inverted)
    line = refusal("search", "--resume", "--out", folder)
    assert "its checkpoint was made on other data than the digits found now" in line
    assert everything_in(folder) == before


STATEFUL = """
from torch import nn
def net(width, in_channels, classes):
    return nn.Sequential(
        nn.Conv2d(in_channels, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(),
        nn.Linear(4 * 36, classes),
    )
"""


@pytest.mark.parametrize("command", ["search", "train"])
def test_statistics_and_dropout_go_on_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    write_module(monkeypatch, tmp_path, f"user_stateful_{command}", STATEFUL)
    options = [*TINY, "--model", f"user_stateful_{command}:net"]
    assert tombola(command, *options, "--out", "whole").status == 0
    stopped_at(monkeypatch, STEPS + 6, command, *options, "--out", "parts")
    torch.manual_seed(99)  # what another process would have
    assert tombola(command, *options, "--resume", "--out", "parts").status == 0
    name = "ticket.tombola" if command == "search" else "model.safetensors"
    assert_same(Path("parts"), Path("whole"), name)


def test_a_finished_run_is_left_as_it_is(tmp_path: Path) -> None:
    folder = copy_of_finished(tmp_path / "run")
    before = everything_in(folder)
    for options in ([], list(TINY), ["--json"]):
        ended = tombola("search", *options, "--resume", "--out", folder)
        assert (ended.status, ended.err) == (0, "")
        assert result_of(folder)["digest"] in ended.out
    assert everything_in(folder) == before


@pytest.mark.parametrize("empty", [False, True])
def test_resume_without_a_checkpoint_starts_afresh(tmp_path: Path, empty: bool) -> None:
    folder = tmp_path / "deep" / "run"
    if empty:
        folder.mkdir(parents=True)
    assert tombola("search", *TINY, "--resume", "--out", folder).status == 0
    assert_same(folder, finished(), "ticket.tombola", "config.toml")


def test_resume_before_the_first_checkpoint_starts_afresh(tmp_path: Path) -> None:
    folder = copy_of_finished(tmp_path / "run")
    for name in ("result.json", "ticket.tombola", "metrics.jsonl"):
        (folder / name).unlink()
    shutil.rmtree(folder / "checkpoint")
    assert tombola("search", "--resume", "--out", folder).status == 0
    assert_same(folder, finished(), "ticket.tombola")


def test_an_end_that_was_cut_off_is_made_up_for(tmp_path: Path) -> None:
    """All epochs are done, but not the last files."""
    folder = copy_of_finished(tmp_path / "run")
    for name in ("result.json", "ticket.tombola"):
        (folder / name).unlink()
    ended = tombola("search", "--resume", "--out", folder)
    assert ended.status == 0
    assert "epoch" not in ended.err
    assert_same(folder, finished(), "ticket.tombola")


def test_auto_is_what_the_run_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On another machine `auto` would be something else; the run goes on as it was."""
    folder = tmp_path / "run"
    stopped_at(monkeypatch, 5, "search", *TINY, *OPTIONS, "--out", folder)
    monkeypatch.setattr("tombola.experiments.machine.has_bfloat16", lambda _: True)
    options = ["--precision", "auto", "--device", "auto", "--threads", "None"]
    assert tombola("search", *options, "--resume", "--out", folder).status == 0
    assert_same(folder, finished("search", *OPTIONS), "ticket.tombola", "config.toml")


@pytest.fixture
def half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run stopped in its second epoch, with both checkpoints."""
    return stopped_in_the_second_epoch(monkeypatch, tmp_path / "half")


def test_a_changed_setting_is_named(half: Path) -> None:
    before = everything_in(half)
    line = refusal("search", *TINY, "--rate", "0.25", "--period", "None", "--resume", "--out", half)
    assert "period was 7, now None; rate was 0.5, now 0.25" in line
    assert everything_in(half) == before


HOLD = """
import sys
from filelock import FileLock
lock = FileLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("options", [[], ["--resume"]])
def test_a_folder_is_for_one_process_and_a_lock_dies_with_it(tmp_path: Path, options: list[str]) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder / ".lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        line = refusal("search", *TINY, *options, "--out", folder)
        assert f"{folder} is in use by another running process" in line
        assert {path.name for path in folder.iterdir()} <= {".lock"}
    finally:
        holder.kill()
        holder.communicate()
    assert (folder / ".lock").exists()
    assert tombola("search", *TINY, *options, "--out", folder).status == 0


SIGNALLING = """
import os, signal
from torch import nn

class Net(nn.Sequential):
    steps = 0
    def forward(self, x):
        Net.steps += self.training
        number, _, step = os.environ.get("TEST_SIGNAL", "").partition(":")
        if self.training and step == str(Net.steps):
            os.kill(os.getpid(), int(number))
        return super().forward(x)

def net(width, in_channels, classes):
    return Net(nn.Flatten(), nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, classes))
"""


def test_real_signals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the first epoch, SIGTERM after resuming in the second, then on to the end."""
    write_module(monkeypatch, tmp_path, "user_signalling", SIGNALLING)
    options = ["search", *TINY, *OPTIONS, "--model", "user_signalling:net"]
    assert tombola(*options, "--out", "whole").status == 0
    for number, step, status in ((signal.SIGINT, 5, 130), (signal.SIGTERM, 22, 75)):
        ended = tombola_process(
            *options,
            "--resume",
            "--out",
            "parts",
            cwd=tmp_path,
            environment={"TEST_SIGNAL": f"{int(number)}:{step}"},
        )
        assert (ended.status, ended.out) == (status, ""), ended
        assert "Traceback" not in ended.err
        assert ended.err.splitlines()[-1].startswith("tombola: interrupted in epoch ")
    assert len((tmp_path / "parts/metrics.jsonl").read_text().splitlines()) == 1
    assert tombola(*options, "--resume", "--out", "parts").status == 0
    assert_same(Path("parts"), Path("whole"), "ticket.tombola")


def test_metrics_are_whole_lines_after_a_stop(half: Path) -> None:
    (line,) = (half / "metrics.jsonl").read_text().splitlines()
    assert json.loads(line)["epoch"] == 1
