"""One run of a sweep in whatever process: what comes of it, and its log."""

from __future__ import annotations

import os
import socket
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO

from tombola._version import __version__
from tombola.errors import FolderInUseError, ModelError, TombolaError, describe
from tombola.experiments.config import RunConfig
from tombola.experiments.interrupt import Interrupt, Interrupted
from tombola.experiments.run import run

LOG = "log.txt"
State = Literal["finished", "failed", "stopped"]


@dataclass(frozen=True)
class Attempt:
    """What came of a run: the `result` of one that finished, the one-line `error` of one that failed, or
    neither where it was stopped on the way.
    """

    result: dict[str, Any] | None = None
    error: str | None = None

    @property
    def state(self) -> State:
        """The same in a word."""
        if self.result is not None:
            return "finished"
        return "stopped" if self.error is None else "failed"


def attempt(config: RunConfig, interrupt: Interrupt | None = None, patience: float = 0.0) -> Attempt:
    """Run `config`, or go on with it; whatever it raises becomes part of the answer.

    Everything that it says on standard error goes to log.txt in its folder. `patience` is for how many
    seconds to wait for a process that still holds the folder.
    """
    assert config.out is not None
    try:
        with _logged(config.out) as log:
            try:
                return Attempt(_run_when_free(config, interrupt, patience))
            except Interrupted as stop:
                print(stop, file=log)
                return Attempt()
            except Exception as error:
                if isinstance(error, ModelError) or not isinstance(error, TombolaError):
                    traceback.print_exc(file=log)
                print(describe(error), file=log)
                return Attempt(error=describe(error))
    except OSError as error:  # of the log
        return Attempt(error=describe(error))


def _run_when_free(config: RunConfig, interrupt: Interrupt | None, patience: float) -> dict[str, Any]:
    deadline = time.monotonic() + patience
    while True:
        try:
            return run(config, interrupt).result
        except FolderInUseError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


@contextmanager
def _logged(folder: Path) -> Iterator[TextIO]:
    """Standard error into the log, which is begun by the place; others see by its growth that a run has
    begun.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOG).open("a", buffering=1, encoding="utf-8") as log, redirect_stderr(log):
        print(f"tombola {__version__} on {socket.gethostname()}, process {os.getpid()}", file=log)
        yield log
