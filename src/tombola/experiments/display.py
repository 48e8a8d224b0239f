"""What a run shows while it runs: a live bar in a terminal, a plain line per epoch elsewhere."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

# Columns that the bar needs with all its figures; a narrower terminal gets fewer figures and no bar.
_BAR_WIDTH = 76


class Display:
    """A context in which `step` and `epoch` report; everything goes to standard error.

    `steps` in all, of which `done` were done by an earlier process, over `epochs`. `silent`: report nothing.
    """

    def __init__(
        self, epochs: int, steps: int, done: int, console: Console | None = None, *, silent: bool = False
    ) -> None:
        self._epochs = epochs
        self._console = Console(file=io.StringIO()) if silent else console or Console(stderr=True)
        # A dumb terminal cannot take a line back: it gets plain lines.
        self._live = self._console.is_terminal and not self._console.is_dumb_terminal
        self._narrow = self._console.width < _BAR_WIDTH
        figures = [TextColumn("epoch {task.fields[epoch]}"), TextColumn("{task.fields[figures]}")]
        bar = [figures[0], BarColumn(bar_width=None), figures[1], TimeRemainingColumn()]
        self._progress = _Bar(
            *(figures if self._narrow else bar),
            console=self._console,
            disable=not self._live,
            expand=not self._narrow,
            transient=True,  # the line of the last epoch says what it would
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
        figures = (
            f"loss {loss:.2f} train {100 * accuracy:.0f} %"
            if self._narrow
            else f"loss {loss:.3f}  train {100 * accuracy:.1f} %  {rate:,.0f} examples/s"
        )
        self._progress.update(self._task, completed=done, epoch=f"{epoch}/{self._epochs}", figures=figures)

    def epoch(self, row: Mapping[str, Any], left: float) -> None:
        """Report a finished epoch; `left` seconds are estimated to remain."""
        figures = [
            f"epoch {row['epoch']:>3}/{self._epochs}",
            f"loss {row['loss']:.4f}",
            f"train {100 * row['train_accuracy']:5.1f} %",
        ]
        if (validation := row["validation_accuracy"]) is not None:
            figures.append(f"validation {100 * validation:5.1f} %")
        if self._live:  # the bar below says the rest
            self._console.print(within(figures, self._console.width), highlight=False)
            return
        figures += [f"{row['examples_per_second']:,.0f} examples/s", f"{clock(left)} left"]
        line = within(figures, self._console.width) if self._console.is_terminal else "  ".join(figures)
        # Not through rich, which would wrap it at 80 columns.
        print(line, file=self._console.file, flush=True)


class _Bar(Progress):
    """A bar with an empty line below, where the terminal writes the ^C of Ctrl-C: at the end of a line that
    is full it would begin another one, and the bar could not be taken back.
    """

    def get_renderables(self) -> Iterable[RenderableType]:
        """The bar and the line."""
        yield from super().get_renderables()
        yield ""


def within(figures: Sequence[str], width: int, gap: str = "  ") -> str:
    """The figures in lines of at most `width` columns, broken between two of them and indented then."""
    lines = [figures[0]]
    for figure in figures[1:]:
        longer = f"{lines[-1]}{gap}{figure}"
        if len(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(f"  {figure}")
    return "\n".join(lines)


def clock(seconds: float) -> str:
    """3661.2 -> "1:01:01"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
