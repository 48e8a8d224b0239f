"""What an engine is: it takes runs and says, one after another, which has begun and what came of which."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol

from tombola.experiments.interrupt import Interrupt
from tombola.experiments.sweep.attempt import Attempt
from tombola.experiments.sweep.file import SweepRun

Event = tuple[SweepRun, Attempt | None]
"""A run that has begun (None), or what came of it."""


class Engine(Protocol):
    """Where the runs of a sweep are run.

    Laws: every run ends with the same bytes whatever the engine; a run that fails does not end the others;
    once `interrupt` has a status, running runs write their checkpoints, no other one begins, and
    the events end.
    """

    title: str
    """What a user is told of it."""
    on_this_machine: bool
    """Whether all runs are run here, not on a cluster."""

    def run(self, runs: Sequence[SweepRun], interrupt: Interrupt) -> Generator[Event, None, None]:
        """Run them all; to be closed by who does not take every event."""
        ...
