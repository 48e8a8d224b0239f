"""Killed at any moment, again and again, and resumed, a run ends with the bytes of an undisturbed one."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from random import Random

import pytest
from kill_helpers import ended, event, start
from resume_helpers import OPTIONS, assert_same

from commands import TINY, finished, refusal, tombola

COMMAND = ["search", *TINY, *OPTIONS, "--resume", "--out"]


def assert_as_if_undisturbed(folder: Path) -> None:
    """With no file more, either: what was half-written is gone."""
    undisturbed = finished("search", *OPTIONS)
    assert_same(folder, undisturbed, "ticket.tombola", "config.toml", "examples.npz")
    names = [sorted(str(path.relative_to(run)) for path in run.rglob("*")) for run in (folder, undisturbed)]
    assert names[0] == names[1]


def test_killed_at_random_moments(tmp_path: Path) -> None:
    seed = int(os.environ.get("TOMBOLA_KILL_SEED") or int.from_bytes(os.urandom(4)))
    print(f"again: TOMBOLA_KILL_SEED={seed}")
    draw, folder = Random(seed), tmp_path / "run"
    statuses = [ended(start([*COMMAND, str(folder)], folder, draw.randrange(70))) for _ in range(3)]
    assert statuses[0] == -signal.SIGKILL
    assert set(statuses) <= {-signal.SIGKILL, 0}  # the last may come after the end
    assert tombola(*COMMAND, folder).status == 0
    assert_as_if_undisturbed(folder)


# The moment's description, and its number among those of that description.
MOMENTS = {
    "before anything": ("open .lock", 0),
    "config.toml half-written": ("flush .config.toml", 0),
    "first checkpoint half-written": ("flush .latest.pt", 0),
    "first checkpoint not yet in place": ("rename .latest.pt", 0),
    "second checkpoint half-written": ("flush .latest.pt", 1),
    "before the old checkpoint is moved": ("rename latest.pt", 0),
    "no newest checkpoint": ("rename .latest.pt", 1),
    "checkpoint without metrics": ("flush .metrics.jsonl", 0),
    "last checkpoint without metrics": ("flush .metrics.jsonl", 1),
    "all epochs done": ("open .ticket.tombola", 0),
    "ticket half-written": ("flush .ticket.tombola", 0),
    "no result": ("rename .result.json", 0),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_while_files_are_written(tmp_path: Path, moment: str) -> None:
    folder = tmp_path / "run"
    what, at = MOMENTS[moment]
    assert ended(start([*COMMAND, str(folder)], folder, at, what)) == -signal.SIGKILL
    assert tombola(*COMMAND, folder).status == 0
    assert_as_if_undisturbed(folder)


@pytest.mark.parametrize("command", [COMMAND, ["search", *TINY, *OPTIONS, "--out"]], ids=["resume", "start"])
def test_a_second_process_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    """Before it has read any data; and what the first has half-written is left alone."""
    folder, held = tmp_path / "run", event()
    process = start([*command, str(folder)], folder, 1, "flush .latest.pt", held)
    assert held.wait(300)
    with monkeypatch.context() as patch:
        patch.setattr("tombola.data.load", None)
        assert refusal(*command, folder) == f"{folder} is in use by another running process"
    assert len(list(folder.glob("checkpoint/.latest.pt.*.partial"))) == 1
    process.kill()
    assert ended(process) == -signal.SIGKILL
    assert tombola(*COMMAND, folder).status == 0  # the lock has died with the process
    assert_as_if_undisturbed(folder)
