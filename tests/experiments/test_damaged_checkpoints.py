"""A damaged checkpoint is noticed, and never gone on from: the one before it is taken, or none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from resume_helpers import OPTIONS, assert_same, stopped_in_the_second_epoch

from commands import finished, refusal, tombola


@pytest.fixture
def half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run stopped in its second epoch, with both checkpoints."""
    return stopped_in_the_second_epoch(monkeypatch, tmp_path / "half")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    path.write_bytes(b"hello world" * 100)


def flip(path: Path) -> None:
    """One bit of the scores: torch reads such a file without a word."""
    data = path.read_bytes()
    scores = torch.load(path, weights_only=True)["learner"]["scores"]["fc1.weight"].numpy().tobytes()
    at = data.index(scores) + 1001
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


def foreign(path: Path) -> None:
    torch.save(torch.ones(3), path)


def other_version(path: Path) -> None:
    torch.save({"version": 99}, path)


def missing(path: Path) -> None:
    """As after a crash between the renaming of the old and of the new one."""
    path.unlink()


DAMAGES = [truncate, empty, garbage, flip, foreign, other_version, missing]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    half: Path, damage: Callable[[Path], None]
) -> None:
    latest, previous = half / "checkpoint/latest.pt", half / "checkpoint/previous.pt"
    damage(latest)
    ended = tombola("search", "--resume", "--out", half)
    assert ended.status == 0
    first = ended.err.splitlines()[0]
    assert first.startswith(f"checkpoint {latest} is ")
    assert first.endswith(f"going on from the one before it, {previous}")
    assert_same(half, finished("search", *OPTIONS), "ticket.tombola")


def test_a_damaged_checkpoint_does_not_push_out_the_whole_one(
    half: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever happens at the next checkpoint, a whole one is there."""
    truncate(half / "checkpoint/latest.pt")
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fail_with_full_disk)
        assert tombola("search", "--resume", "--out", half).status == 3
    assert tombola("search", "--resume", "--out", half).status == 0
    assert_same(half, finished("search", *OPTIONS), "ticket.tombola")


def fail_with_full_disk(_: int) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("damage", DAMAGES[:-1])
def test_no_whole_checkpoint_is_an_error(half: Path, damage: Callable[[Path], None]) -> None:
    """And not a fresh start without a word."""
    before = (half / "metrics.jsonl").read_bytes()
    for name in ("latest", "previous"):
        damage(half / f"checkpoint/{name}.pt")
    line = refusal("search", "--resume", "--out", half)
    for name in ("latest", "previous"):
        assert f"checkpoint {half / 'checkpoint' / name}.pt is " in line
    if damage is other_version:
        assert "is of version 99, expected 1" in line
    else:
        assert "truncated or damaged" in line
    assert (half / "metrics.jsonl").read_bytes() == before


def test_a_state_of_something_else(half: Path) -> None:
    torch.save({"version": 1, "epoch": 1}, half / "checkpoint/latest.pt")
    line = refusal("search", "--resume", "--out", half)
    assert f"checkpoint {half / 'checkpoint/latest.pt'} does not fit this run (KeyError: 'data')" in line


@pytest.mark.parametrize("alone", [False, True])
def test_a_checkpoint_runs_no_code(half: Path, tmp_path: Path, alone: bool) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"version": 1, "x": Evil()}, half / "checkpoint/latest.pt")
    torch.load(half / "checkpoint/latest.pt", weights_only=False)
    assert (tmp_path / "ran").exists()  # it would
    (tmp_path / "ran").unlink()
    if alone:
        (half / "checkpoint/previous.pt").unlink()
        line = refusal("search", "--resume", "--out", half)
        assert f"checkpoint {half / 'checkpoint/latest.pt'} is truncated or damaged (UnpicklingError)" in line
    else:
        assert tombola("search", "--resume", "--out", half).status == 0
    assert not (tmp_path / "ran").exists()
