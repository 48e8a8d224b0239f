"""A picture of runs: accuracy over epochs, and what the first one answers to some test images."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tombola.errors import ArgumentError, missing_extra
from tombola.files import write_atomically
from tombola.report.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

COLUMNS = 6
RIGHT, WRONG = "tab:green", "tab:red"


def draw(runs: Sequence[Path], png: Path) -> None:
    """Write a PNG with the curves of all runs and the answers of the first.

    Raises ArgumentError for no run at all, RunError for a folder that does not hold a finished one,
    TombolaError where matplotlib is not installed.
    """
    if not runs:
        raise ArgumentError("a report needs at least one folder of a finished run")
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise missing_extra("drawing", "vision") from None

    records = [Record.read(path) for path in runs]
    buffer = io.BytesIO()
    with rc_context({"text.parse_math": False}):  # a dollar sign in a name is a dollar sign
        figure = Figure(figsize=(11, 4.4 + 0.4 * len(records)), layout="constrained")
        FigureCanvasAgg(figure)
        ((curves, answers),) = figure.subfigures(1, 2, width_ratios=(1.1, 1), wspace=0.04, squeeze=False)
        _draw_curves(curves, records)
        _draw_answers(answers, records[0])
        figure.savefig(buffer, dpi=110)
    write_atomically(png, buffer.getvalue())


def _draw_curves(figure: SubFigure, records: Sequence[Record]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes = figure.subplots()
    # After the last epoch of all, side by side: equal accuracies would hide each other.
    last = max(record.epochs[-1] for record in records)
    for number, (record, label) in enumerate(zip(records, _labels(records), strict=True), start=1):
        _draw_curve(axes, record, label, star_at=last * (1 + 0.05 * number))
    axes.set_xlabel("epoch (stars: on the test images, after the run)")
    axes.set_ylabel("accuracy, %")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    where = f": {_network(records[0])}" if _same_network(records) else ""
    figure.suptitle(f"Accuracy over epochs{where}", fontsize=11)
    # Below, where it covers no curve.
    figure.legend(loc="outside lower left", fontsize=8.5, frameon=False)


def _draw_curve(axes: Axes, record: Record, label: str, star_at: float) -> None:
    """The run's curve, and a star for its one look at the test images."""
    split = "held-out images" if record.validated else "training images"
    (line,) = axes.plot(
        record.epochs,
        [100 * accuracy for accuracy in record.accuracies],
        linestyle="-" if record.validated else "--",
        marker=".",
        label=f"{label} ({split})",
    )
    accuracy = 100 * record.result["test_accuracy"]
    axes.plot(
        star_at,
        accuracy,
        marker="*",
        markersize=14,
        markeredgecolor="white",
        color=line.get_color(),
        linestyle="none",
        label=f"{accuracy:.1f} % of the test images right",
        zorder=3,
    )


def _labels(records: Sequence[Record]) -> list[str]:
    """A title for each run, with its network and its folder where these tell it from the others."""
    titles = [record.title for record in records]
    if not _same_network(records):
        titles = [f"{_network(record)}, {title}" for record, title in zip(records, titles, strict=True)]
    if len(set(titles)) == len(titles):
        return titles
    return [f"{record.name}: {title}" for record, title in zip(records, titles, strict=True)]


def _same_network(records: Sequence[Record]) -> bool:
    return len({_network(record) for record in records}) == 1


def _network(record: Record) -> str:
    return f"{record.result['data']}, {record.result['model']}"


def _draw_answers(figure: SubFigure, record: Record) -> None:
    right = record.answers == record.labels
    figure.suptitle(
        f"Test images and the answers of {record.result['method']}: {right.sum()} of {len(right)} right",
        fontsize=11,
    )
    grid = figure.subplots(-(-len(record.images) // COLUMNS), COLUMNS, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    pairs = zip(record.answers, record.labels, strict=True)
    for axes, image, (answer, label) in zip(grid.flat, record.images, pairs, strict=False):
        if image.dtype == np.uint8:  # else a table's row, which makes no picture
            axes.imshow(image.squeeze(), cmap="gray_r" if image.shape[-1] == 1 else None)
        text = record.class_names[answer]
        if answer != label:
            text += f"\nnot {record.class_names[label]}"
        axes.set_title(text, fontsize=9, color=RIGHT if answer == label else WRONG, pad=3)
