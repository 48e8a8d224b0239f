"""What a sweep shows while it runs: a live table of the runs that run, and a line for each that has ended."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.box import SIMPLE
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tombola.experiments.display import clock
from tombola.experiments.sweep.attempt import Attempt
from tombola.experiments.sweep.file import SweepRun

# Lines of a terminal that are not rows of the table: heading, totals, and what was there before.
_OTHER_LINES = 8


class SweepDisplay:
    """A context in which `begun` and `ended` report; everything goes to standard error.

    `total` runs in all, of which `done` were finished by earlier processes.
    """

    def __init__(self, total: int, done: int, console: Console | None = None) -> None:
        self._total, self._ended, self._before = total, done, done
        self._failed = 0
        # The stream as it is now: while runs go on, standard error leads to their logs.
        self._console = console or Console(file=sys.stderr)
        self._running: dict[str, tuple[SweepRun, float]] = {}
        self._started = time.monotonic()
        self._live = Live(
            console=self._console,
            get_renderable=self.table,
            refresh_per_second=2,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live.is_started:
            self._live.stop()

    def begun(self, run: SweepRun) -> None:
        """Report a run that has begun."""
        self._running = {**self._running, run.name: (run, time.monotonic())}
        if not self._console.is_terminal:
            self._say(f"{run.name}: started")

    def ended(self, run: SweepRun, attempt: Attempt) -> None:
        """Report a run that has ended."""
        # Replaced, not changed: the table is drawn by a thread of its own.
        self._running = {name: entry for name, entry in self._running.items() if name != run.name}
        if attempt.state == "stopped":
            self._say(f"{run.name}: stopped")
            return
        self._ended += 1
        self._failed += attempt.state == "failed"
        self._say(f"{self._ended}/{self._total} {run.name}: {_said(attempt)}")

    def table(self) -> Group:
        """What runs at this moment, as far as their records say."""
        running = list(self._running.values())
        if not running:
            return Group(Text(self._totals()))
        table = Table(box=SIMPLE, padding=(0, 1), expand=True)
        table.add_column("running", overflow="ellipsis", no_wrap=True, style="cyan", ratio=1)
        for column in ("epoch", "validation", "time"):
            table.add_column(column, justify="right", no_wrap=True)
        rows = max(1, self._console.height - _OTHER_LINES)
        for run, began in running[:rows]:
            last = _last_epoch(run)
            epoch = f"{last.get('epoch', 0)}/{_epochs(run)}"
            table.add_row(Text(run.name), epoch, _percent(last.get("validation_accuracy")), _since(began))
        if len(running) > rows:
            table.add_row(f"… and {len(running) - rows} more", "", "", "")
        return Group(Text(self._totals()), table)

    def _totals(self) -> str:
        said = f"{self._ended - self._failed} of {self._total} runs finished"
        if self._failed:
            said += f", {self._failed} failed"
        said += f", {_since(self._started)} gone"
        here = self._ended - self._before
        if here and self._ended < self._total:
            left = (time.monotonic() - self._started) / here * (self._total - self._ended)
            said += f", about {clock(left)} left"
        return said

    def _say(self, line: str) -> None:
        if self._live.is_started:
            self._console.print(Text(line), soft_wrap=True)
        else:
            # Not through rich, which would wrap it at 80 columns.
            print(line, file=self._console.file, flush=True)


def _said(attempt: Attempt) -> str:
    if attempt.result is None:
        return f"failed: {attempt.error}"
    return f"test {_percent(attempt.result['test_accuracy'])}, {attempt.result['seconds']:.1f} s"


def _last_epoch(run: SweepRun) -> Mapping[str, Any]:
    """The last row of metrics.jsonl; nothing where there is none yet."""
    assert run.config.out is not None
    try:
        row: dict[str, Any] = json.loads((run.config.out / "metrics.jsonl").read_text().splitlines()[-1])
    except (OSError, ValueError, IndexError):
        return {}
    return row


def _epochs(run: SweepRun) -> int:
    """The epochs that a run is going to have: IMP has those after the rewind once more for each round."""
    settings = run.config.settings()
    rounds = settings["rounds"] if settings["method"] == "imp" else 0
    return int(settings["epochs"] + rounds * (settings["epochs"] - settings.get("rewind_epochs", 0)))


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"


def _since(began: float) -> str:
    return clock(time.monotonic() - began)
