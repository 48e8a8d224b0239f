"""How a sweep starts Ray, and ends where that fails or a signal comes: with a Ray that only pretends."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sweep_helpers import main_thread_only, swept, write_sweep

from tombola.errors import RunError
from tombola.experiments.interrupt import Interrupt
from tombola.experiments.search_config import SearchConfig
from tombola.experiments.sweep.attempt import Attempt
from tombola.experiments.sweep.file import Resources, SweepRun
from tombola.experiments.sweep.on_ray import OnRay


class FakeRay(ModuleType):
    """Takes SIGTERM as Ray does; `starting` and `started` happen while it starts, and just afterwards."""

    def __init__(self, starting: Callable[[], None], started: Callable[[], None]) -> None:
        super().__init__("ray")
        self.__spec__ = ModuleSpec("ray", None)
        self.starting, self.started = starting, started
        self.options: dict[str, Any] = {}

    def is_initialized(self) -> bool:
        return False

    def init(self, address: str, **options: Any) -> None:
        self.options = options
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(number))
        self.starting()

    def nodes(self) -> list[dict[str, Any]]:
        self.started()
        return [{"Alive": True, "Resources": {"CPU": 8.0}}]

    def shutdown(self) -> None:
        pass

    def wait(self, waiting: list[Any], timeout: float) -> tuple[list[Any], list[Any]]:
        return waiting, []


def nothing() -> None:
    """What happens where nothing does."""


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("moment", ["starting", "started"])
def test_preempted_while_ray_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    main_thread_only()
    before = signal.getsignal(signal.SIGTERM)
    happening = {"starting": nothing, "started": nothing, moment: terminate}
    monkeypatch.setitem(sys.modules, "ray", FakeRay(**happening))
    ended = swept(write_sweep(tmp_path / "some.toml", "seeds = 2"), tmp_path / "out", "--engine", "ray")
    said = "tombola: interrupted with 0 of 2 runs finished; the same command goes on"
    assert (ended.status, ended.err.splitlines()[1:]) == (75, [said])
    assert signal.getsignal(signal.SIGTERM) is before


def test_ray_takes_no_more_than_this_process_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray itself would count the machine's processors, of which a scheduler may have given us some."""
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {5, 6}, raising=False)
    fake = FakeRay(nothing, nothing)
    monkeypatch.setitem(sys.modules, "ray", fake)
    interrupt = Interrupt()
    interrupt.status = 75
    assert list(OnRay(Resources(), None, tmp_path / "log").run([], interrupt)) == []
    assert fake.options["num_cpus"] == 2
    assert list(OnRay(Resources(), "auto", tmp_path / "log").run([], interrupt)) == []
    assert "num_cpus" not in fake.options


def test_a_ray_that_cannot_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RunError, match="^Ray is installed and cannot be imported: ModuleNotFoundError: "):
        list(OnRay(Resources(), None, tmp_path / "log").run([], Interrupt()))


@pytest.mark.parametrize("stops", [1, 2])
def test_a_run_that_others_stop_is_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stops: int
) -> None:
    """As often as one whose process dies; then it has failed, and is not lost without a word."""
    monkeypatch.setitem(sys.modules, "ray", FakeRay(nothing, nothing))
    outcomes = [*[Attempt()] * stops, Attempt({"test_accuracy": 0.5})]
    monkeypatch.setattr(OnRay, "_outcome", lambda *_: outcomes.pop(0))
    monkeypatch.setattr(OnRay, "_submitter", lambda _: lambda run: object())
    run = SweepRun("seed=0", {"seed": 0}, SearchConfig(out=tmp_path / "seed=0"))
    engine = OnRay(Resources(retries=1), None, tmp_path / "log")
    events = list(engine.run([run], Interrupt()))
    error = Attempt(error="its process was stopped by a signal, 2 times")
    assert events == [(run, Attempt({"test_accuracy": 0.5}) if stops == 1 else error)]
