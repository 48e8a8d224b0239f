"""Runs that are stopped at a given step, in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands import STEPS, TINY, metrics_of, result_of, tombola
from tombola.experiments import run as run_module
from tombola.experiments.interrupt import Interrupt

# Redraws every 7 steps, so that generations, momentum and the order of the data all matter.
OPTIONS = ("--period", "7", "--rate", "0.5")


class StopAt(Interrupt):
    """Says that a signal has come once it was asked `at` times, which the loop does after every step
    and every epoch.
    """

    at = 0

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    @property
    def status(self) -> int | None:
        self.asked += 1
        return 130 if self.asked >= self.at else None

    @status.setter
    def status(self, value: int | None) -> None:
        pass


def stopped_at(monkeypatch: pytest.MonkeyPatch, at: int, *arguments: str | Path) -> str:
    """Run the command up to a stop; the line it says."""
    with monkeypatch.context() as patch:
        patch.setattr(StopAt, "at", at)
        patch.setattr(run_module, "Interrupt", StopAt)
        ended = tombola(*arguments)
    assert (ended.status, ended.out) == (130, "")
    return ended.err.splitlines()[-1]


def assert_same(folder: Path, undisturbed: Path, *names: str) -> None:
    for name in names:
        assert (folder / name).read_bytes() == (undisturbed / name).read_bytes()
    assert metrics_of(folder) == metrics_of(undisturbed)
    results = [result_of(path) for path in (folder, undisturbed)]
    assert results[0].pop("seconds") > 0
    assert results[1].pop("seconds") > 0
    assert results[0] == results[1]


def stopped_in_the_second_epoch(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """A run with both checkpoints."""
    stopped_at(monkeypatch, STEPS + 6, "search", *TINY, *OPTIONS, "--out", folder)
    assert (folder / "checkpoint/previous.pt").exists()
    return folder
