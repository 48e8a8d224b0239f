"""Ctrl-C and a scheduler's signals: taken between two steps, so that a checkpoint can be written first.

A scheduler announces preemption by SIGTERM or SIGUSR1, and requeues what then ends with status 75. Outside
the training loop there is nothing to save: the process just ends, which writing atomically makes as safe as
ending it with SIGKILL.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_STATUS: dict[int, int] = {signal.SIGINT: 130, signal.SIGTERM: 75}
if hasattr(signal, "SIGUSR1"):  # Windows has none
    EXIT_STATUS[signal.SIGUSR1] = 75
# Said by a process that does not know whether it has got as far as a folder.
AT_ONCE = (
    "interrupted before the first step or after the last: what was saved is kept, --resume goes on from it"
)
SWEEP_AT_ONCE = "interrupted before the first run or after the last: the same command goes on"


class Interrupted(Exception):  # noqa: N818 - not an error: the run was asked to stop
    """The run stopped on a signal after writing a checkpoint; `status` is for the shell."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Interrupt:
    """Whether a signal has come, and which."""

    def __init__(self) -> None:
        self.status: int | None = None
        self._number: int | None = None
        self._blocks = 0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Take signals for the time of the block, which looks at `status` and raises `Interrupted`.

        A second Ctrl-C ends the process at once. Other signals may be repeated: schedulers and launchers
        send them to the process and to its group, and SIGKILL when their patience ends. A signal that came
        too late for the block to stop is raised again after it, for whoever had taken it before. Of blocks
        within each other (something may have put handlers of its own in between) the outermost does.
        """
        self._blocks += 1
        try:
            with _taken_by(self._take):
                yield
        finally:
            self._blocks -= 1
        if self._number is not None and not self._blocks:
            signal.raise_signal(self._number)

    def settled(self) -> int | None:
        """The status, for a block that ends by it or has done all it had to: it is not raised again."""
        self._number = None
        return self.status

    def _take(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.status, self._number = EXIT_STATUS[number], number
        if number == signal.SIGINT:
            signal.signal(number, signal.SIG_DFL)


def exit_on_signals(complain: Callable[[str], None], line: str = AT_ONCE) -> None:
    """From now on a signal ends this process at once, with its status and one `line`.

    For a process that does nothing else. Nothing is raised: an exception out of a signal is lost where
    Python ignores exceptions, as it does now and then while modules are imported.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        del frame
        try:
            complain(line)
            sys.stderr.flush()
        finally:
            os._exit(EXIT_STATUS[number])

    for number in _not_ignored():
        signal.signal(number, leave)


def settle() -> None:
    """From now on the status of this process is decided: no signal of a scheduler may change it while the
    interpreter shuts down. Ctrl-C ends even that.
    """
    for number in _not_ignored():
        signal.signal(number, signal.SIG_DFL if number == signal.SIGINT else signal.SIG_IGN)


@contextmanager
def _taken_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # Python delivers signals to the main thread alone
        return
    old = {number: signal.getsignal(number) for number in _not_ignored()}
    try:
        for number in old:
            signal.signal(number, handler)
        yield
    finally:
        for number, before in old.items():
            signal.signal(number, before)


@contextmanager
def handler_kept(number: int) -> Iterator[None]:
    """Put this process's handler of a signal back after the block, which may set one of its own."""
    before = signal.getsignal(number)
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(number, before)


def _not_ignored() -> list[int]:
    """The signals that nobody has switched off for this process (a shell does Ctrl-C, for what it runs in the
    background), nor handles outside Python.
    """
    return [number for number in EXIT_STATUS if signal.getsignal(number) not in (signal.SIG_IGN, None)]
