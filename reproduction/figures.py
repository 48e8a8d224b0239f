"""How the figures are drawn: means over seeds with their standard deviations, in the manner of the papers."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from reproduction import records
from reproduction.records import Rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from reproduction.claims.claim import Claim

FIGURES = Path(__file__).parent / "figures"


def mark(claim: Claim) -> str:
    """A digest of the records that a claim is drawn from, which its figure carries."""
    digest = hashlib.sha256()
    for sweep in claim.sweeps:
        for name in ("results.csv", "curves.csv", "int8.csv", "bounds.json"):
            file = records.KEPT / sweep / name
            digest.update(file.read_bytes() if file.exists() else b"")
    return digest.hexdigest()


def save(claim: Claim, data: str) -> Path:
    """Draw a claim's figure, with what `data` it is of; equal records give equal files."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    claim.draw(figure)
    for axes in figure.axes:
        axes.grid(alpha=0.3)
        labels = len(axes.get_legend_handles_labels()[0])
        if labels > 6:  # they would cover what is drawn
            axes.legend(
                loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=4, fontsize=8, handlelength=3.5
            )
        elif labels:
            axes.legend(fontsize=8, handlelength=3.5)
    FIGURES.mkdir(exist_ok=True)
    file = FIGURES / f"{claim.name}.png"
    figure.suptitle(data, fontsize=10)
    figure.savefig(file, dpi=110, metadata={"Software": None, "Description": mark(claim)})
    return file


def density_panels(figure: Figure, titles: Sequence[str], across: str) -> list[Axes]:
    """A panel for each title: test accuracy against a density, called `across`, that falls to the right."""
    panels: list[Axes] = list(figure.subplots(1, len(titles), squeeze=False)[0])
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title, fontsize=11)
        name_axes(axes, across)
        axes.invert_xaxis()
    return panels


def name_axes(axes: Axes, across: str, up: str = "test accuracy, %") -> None:
    """What the axes are of."""
    axes.set_xlabel(across)
    axes.set_ylabel(up)


def on_log_scale(axes: Axes, ticks: Sequence[float]) -> None:
    """A logarithmic axis with ticks at these values alone."""
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)


def points(
    axes: Axes,
    across: Sequence[float],
    values: Sequence[Sequence[float]],
    label: str,
    colour: str,
    style: str,
    marker: str = "o",
    aside: float = 0.0,
) -> None:
    """Means against `across`, joined, with bars of a standard deviation; nothing where nothing was run.

    All is drawn `aside` times 1/72 inch to the right, so that bars at one place can be told apart.
    """
    from matplotlib.transforms import ScaledTranslation

    there = [
        (x, fmean(each), stdev(each) if len(each) > 1 else 0.0)
        for x, each in zip(across, values, strict=True)
        if each
    ]
    if there:
        moved = axes.transData + ScaledTranslation(aside / 72, 0, axes.figure.dpi_scale_trans)
        axes.errorbar(
            [x for x, _, _ in there],
            [mean for _, mean, _ in there],
            yerr=[deviation for _, _, deviation in there],
            marker=marker,
            ms=5,
            capsize=3,
            linestyle=style,
            color=colour,
            label=label,
            transform=moved if aside else axes.transData,
        )
        # what is drawn beside its place does not count for the limits of the axes otherwise
        axes.update_datalim([(x, mean + d) for x, mean, deviation in there for d in (-deviation, deviation)])
        axes.autoscale_view()


def against_epochs(axes: Axes, told: Rows, names: Iterable[str], label: str, colour: str, style: str) -> None:
    """Validation accuracy of the runs called `names` over epochs: their mean, with a band."""
    by_epoch: dict[int, list[float]] = {}
    wanted = set(names)
    for row in told.rows:
        if row["run"] in wanted:
            by_epoch.setdefault(int(row["epoch"]), []).append(100 * float(row["validation_accuracy"]))
    if not by_epoch:
        return
    epochs = sorted(by_epoch)
    means = [fmean(by_epoch[epoch]) for epoch in epochs]
    around = [_deviation(by_epoch[epoch]) for epoch in epochs]
    axes.plot(epochs, means, style, color=colour, label=label)
    low, high = ([m + sign * d for m, d in zip(means, around, strict=True)] for sign in (-1, 1))
    axes.fill_between(epochs, low, high, color=colour, alpha=0.15, linewidth=0)


def _deviation(values: Sequence[float]) -> float:
    return stdev(values) if len(values) > 1 else math.nan
