"""Runs of the command in processes that are killed, or held, at a chosen moment.

A moment is whenever the process is about to do something to a file in the run's folder (open, flush, rename,
chmod or remove it, make a folder), or to make a step of training.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkServerProcess
from multiprocessing.synchronize import Event
from pathlib import Path

from tombola import cli

# Forked off a process that has imported all this already, or nearly all the time would go there.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tombola.experiments.run", "sklearn.datasets", "torch._dynamo"])
# What Python tells its auditors of files, before it happens.
_EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.chmod")


def start(
    arguments: Sequence[str], folder: Path, at: int | None = None, what: str = "", held: Event | None = None
) -> ForkServerProcess:
    """The command, with its run in `folder`, in a process that kills itself as kill -9 would, in its moment
    number `at` (from 0; None: never) of those in whose description ("rename latest.pt") `what` is.

    With `held`, it says so there instead, and waits for ever.
    """
    given = (list(arguments), str(folder), at, what, held)
    process = _PROCESSES.Process(target=_run, args=given, daemon=True)
    process.start()
    return process


def event() -> Event:
    """What a process says that it is held by."""
    return _PROCESSES.Event()


def ended(process: ForkServerProcess) -> int:
    """Wait for the end: the exit status, or minus the signal that ended the process."""
    process.join(300)
    assert process.exitcode is not None, "the process hangs"
    return process.exitcode


def _run(arguments: list[str], folder: str, at: int | None, what: str, held: Event | None) -> None:
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    if at is not None:
        _watch(_Moments(at, what, held), folder)
    sys.exit(cli.main(arguments))


class _Moments:
    """Counts moments down to the last."""

    def __init__(self, left: int, what: str, held: Event | None) -> None:
        self.left, self.what, self.held = left, what, held

    def meet(self, description: str) -> None:
        if self.what not in description:
            return
        if self.left == 0:
            if self.held is None:
                os.kill(os.getpid(), signal.SIGKILL)
            else:
                self.held.set()
                time.sleep(1000)
        self.left -= 1


def _watch(moments: _Moments, folder: str) -> None:
    import torch

    last = ""

    def audit(name: str, arguments: tuple[object, ...]) -> None:
        nonlocal last
        if name in _EVENTS and str(arguments[0]).startswith(folder):
            last = str(arguments[0])
            moments.meet(f"{name.removeprefix('os.')} {Path(last).name}")

    sys.addaudithook(audit)
    os.fsync = _after(lambda: moments.meet(f"flush {Path(last).name}"), os.fsync)  # type: ignore[assignment]
    torch.optim.SGD.step = _after(lambda: moments.meet("step"), torch.optim.SGD.step)  # type: ignore[method-assign]


def _after(first: Callable[[], None], call: Callable[..., object]) -> Callable[..., object]:
    def both(*arguments: object, **options: object) -> object:
        first()
        return call(*arguments, **options)

    return both
