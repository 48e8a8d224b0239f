"""What an error comes to for whoever typed a command: an exit status and one line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from tombola.errors import ModelError, TombolaError, describe, missing_extra
from tombola.experiments.interrupt import Interrupted

_WHERE = "(TOMBOLA_TRACEBACK=1 shows where)"
FAILED, BAD_INPUT, FAULT, INTERRUPTED, UNEXPECTED = 1, 2, 3, 130, -1


def explain(error: BaseException) -> tuple[int, str]:
    """The exit status and the one line that an error comes to."""
    match error:
        case ModelError():
            return BAD_INPUT, f"{describe(error)} {_WHERE}"
        case TombolaError():
            return BAD_INPUT, describe(error)
        case OSError():
            given = isinstance(error, (FileNotFoundError, IsADirectoryError, NotADirectoryError))
            return BAD_INPUT if given else FAULT, describe(error)
        case Interrupted():
            return error.status, str(error)
        case KeyboardInterrupt():
            return INTERRUPTED, "interrupted"
    return UNEXPECTED, f"{describe(error)} {_WHERE}"


def rank() -> int:
    """The number of this process among those that torchrun started: 0 is the one that reports."""
    number = os.environ.get("RANK", "0") if "WORLD_SIZE" in os.environ else "0"
    return int(number) if number.isdecimal() else 0


@contextmanager
def torch_needed(what: str) -> Iterator[None]:
    """Import torch and what needs it in here: a missing package becomes a word on what to install."""
    # Threads that wait for each other spin by default. Where the cores are shared, with another run or
    # by a container's quota, that was measured to cost a factor of 20; read when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name and error.name.partition(".")[0] == "tombola":
            raise
        raise missing_extra(what, "torch") from None
