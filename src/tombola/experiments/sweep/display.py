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

from tombola.experiments.display import clock, within
from tombola.experiments.sweep.attempt import Attempt
from tombola.experiments.sweep.file import SweepRun

# Lines of a terminal that are not rows of the table: heading, totals, and what was there before.
_OTHER_LINES = 8
# Columns of a terminal that the table needs whole.
_ALL_COLUMNS = 60


class SweepDisplay:
    """A context in which `begun` and `ended` report; everything goes to standard error.

    `total` runs in all, of which `done` were finished by earlier processes.
    """

    def __init__(self, total: int, done: int, console: Console | None = None) -> None:
        self._total, self._ended, self._before = total, done, done
        self._failed = 0
        # The stream as it is now: while runs go on, standard error leads to their logs.
        self._console = console or Console(file=sys.stderr)
        # A dumb terminal cannot take a line back: it gets plain lines.
        self._terminal = self._console.is_terminal and not self._console.is_dumb_terminal
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
        if self._terminal:
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
        if self._live.is_started:
            self._live.refresh()
        if not self._terminal:
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
        self._say(f"{self._ended}/{self._total} {run.name}:", *_said(attempt))

    def table(self) -> Group:
        """What runs at this moment, as far as their records say."""
        running = list(self._running.values())
        if not running:
            return Group(self._totals(), "")
        table = Table(box=SIMPLE, padding=(0, 1), expand=True)
        table.add_column("running", overflow="ellipsis", no_wrap=True, style="cyan", ratio=1)
        # In a narrow terminal the name comes first.
        columns = ("epoch",) if self._console.width < _ALL_COLUMNS else ("epoch", "validation", "time")
        for column in columns:
            table.add_column(column, justify="right", no_wrap=True)
        rows = max(1, self._console.height - _OTHER_LINES)
        for run, began in running[:rows]:
            last = _last_epoch(run)
            epoch = f"{last.get('epoch', 0)}/{_epochs(run)}"
            figures = (epoch, _percent(last.get("validation_accuracy")), _since(began))
            table.add_row(Text(run.name), *figures[: len(columns)])
        if len(running) > rows:
            table.add_row(f"… and {len(running) - rows} more")
        return Group(self._totals(), table, "")  # the ^C of Ctrl-C has to go to a line that is not full

    def _totals(self) -> Text:
        said = f"{self._ended - self._failed} of {self._total} runs finished"
        if self._failed:
            said += f", {self._failed} failed"
        said += f", {_since(self._started)} gone"
        here = self._ended - self._before
        if here and self._ended < self._total:
            left = (time.monotonic() - self._started) / here * (self._total - self._ended)
            said += f", about {clock(left)} left"
        # Printing a long line as it is, below, would ask the same of this one, which then is cut off.
        return Text(said, no_wrap=False, overflow="fold")

    def _say(self, *figures: str) -> None:
        width = self._console.width if self._console.is_terminal else sys.maxsize
        line = within(figures, width, gap=" ")
        if self._live.is_started:
            self._console.print(Text(line), soft_wrap=True)
        else:
            # Not through rich, which would wrap it at 80 columns.
            print(line, file=self._console.file, flush=True)


def _said(attempt: Attempt) -> tuple[str, ...]:
    if attempt.result is None:
        return (f"failed: {attempt.error}",)
    return (f"test {_percent(attempt.result['test_accuracy'])},", f"{attempt.result['seconds']:.1f} s")


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
