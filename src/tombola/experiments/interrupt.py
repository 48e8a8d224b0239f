"""Ctrl-C and SIGTERM, taken between two steps, so that a checkpoint can be written first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_STATUS = {signal.SIGINT: 130, signal.SIGTERM: 75}


class Interrupted(Exception):  # noqa: N818 - not an error: the run was asked to stop
    """The run stopped on a signal after writing a checkpoint; `status` is for the shell."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Interrupt:
    """Whether a signal has come, and which."""

    def __init__(self) -> None:
        self.status: int | None = None

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Take signals for the time of the block; a second one ends the process at once."""
        if threading.current_thread() is not threading.main_thread():
            yield  # Python delivers signals to the main thread alone
            return
        old = {number: signal.signal(number, self._take) for number in EXIT_STATUS}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.status = EXIT_STATUS[signal.Signals(number)]
        signal.signal(number, signal.SIG_DFL)
