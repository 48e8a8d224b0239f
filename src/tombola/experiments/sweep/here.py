"""The engine that needs nothing: one run after another, in this process."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from tombola.experiments.interrupt import Interrupt
from tombola.experiments.sweep.attempt import attempt
from tombola.experiments.sweep.engine import Event
from tombola.experiments.sweep.file import SweepRun


class Here:
    """One run after another, in this process."""

    on_this_machine = True

    def __init__(self, why: str = "") -> None:
        self.title = "one after another in this process" + (f" ({why})" if why else "")

    def run(self, runs: Sequence[SweepRun], interrupt: Interrupt) -> Generator[Event, None, None]:
        """Run them in order."""
        for run in runs:
            if interrupt.status is not None:
                return
            yield run, None
            yield run, attempt(run.config, interrupt)
