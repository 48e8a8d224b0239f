"""What a run shows while it runs: a live bar in a terminal, a plain line per epoch elsewhere."""

from __future__ import annotations

import io
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class Display:
    """A context in which `step` and `epoch` report; everything goes to standard error.

    `steps` in all, of which `done` were done by an earlier process, over `epochs`. `silent`: report nothing.
    """

    def __init__(
        self, epochs: int, steps: int, done: int, console: Console | None = None, *, silent: bool = False
    ) -> None:
        self._epochs = epochs
        self._console = Console(file=io.StringIO()) if silent else console or Console(stderr=True)
        self._live = self._console.is_terminal
        # Fits 80 columns.
        self._progress = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._live,
            expand=True,
        )
        self._task = self._progress.add_task("", total=steps, completed=done, epoch="-", figures="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    @property
    def live(self) -> bool:
        """Whether somebody watches, so that figures between epochs are worth computing."""
        return self._live

    def step(self, *, done: int, epoch: int, loss: float, accuracy: float, rate: float) -> None:
        """Move the bar: `done` steps in all, in `epoch` (from 1), at `rate` examples a second."""
        self._progress.update(
            self._task,
            completed=done,
            epoch=f"{epoch}/{self._epochs}",
            figures=f"loss {loss:.3f}  train {100 * accuracy:.1f} %  {rate:,.0f} examples/s",
        )

    def epoch(self, row: Mapping[str, Any], left: float) -> None:
        """Report a finished epoch; `left` seconds are estimated to remain."""
        validation = row["validation_accuracy"]
        shown = "" if validation is None else f"  validation {100 * validation:5.1f} %"
        line = (
            f"epoch {row['epoch']:>3}/{self._epochs}  loss {row['loss']:.4f}  "
            f"train {100 * row['train_accuracy']:5.1f} %{shown}"
        )
        if self._live:  # the bar below says the rest
            self._console.print(line, highlight=False)
        else:
            rate = f"{row['examples_per_second']:,.0f} examples/s"
            # Not through rich, which would wrap it at 80 columns.
            print(f"{line}  {rate}  {clock(left)} left", file=self._console.file, flush=True)


def clock(seconds: float) -> str:
    """3661.2 -> "1:01:01"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
