"""A picture of what trials say of the theory: errors, redraws, and the width that sparsity costs."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tombola.errors import missing_extra
from tombola.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS = "os^Dvx"
_CURVE = [number / 100 for number in range(8, 100)]


def draw_bounds(measured: Mapping[str, Any], png: Path) -> None:
    """Write a PNG of what `tombola.theory.measurements.measure` gives, in three panels.

    Raises TombolaError where matplotlib is not installed, OSError where the file cannot be written.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise missing_extra("drawing", "vision") from None
    figure = Figure(figsize=(14, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    errors, redraws, widths = figure.subplots(1, 3)
    draw_errors(errors, measured)
    draw_redraws(redraws, measured["redraws"])
    draw_widths(widths, measured)
    for axes, corner in ((errors, "lower left"), (redraws, "upper right"), (widths, "upper left")):
        axes.grid(alpha=0.3, which="major")
        axes.legend(fontsize=9, loc=corner)
    figure.suptitle(f"{measured['trials']:,} trials each; bars: 95 % confidence", fontsize=10)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=110)
    write_atomically(png, buffer.getvalue())


def draw_errors(axes: Axes, measured: Mapping[str, Any]) -> None:
    """Errors of the nearest subset sum against candidates, at every density."""
    for number, row in enumerate(measured["errors"]):
        counts, colour = row["counts"], f"C{number}"
        label = f"p = {row['density']:g}: slope {row['slope'][0]:.3f}, theory {row['theory']:.3f}"
        _bars(axes, counts, row["errors"], MARKERS[number % len(MARKERS)], colour, label)
        # Theory says the slope alone: drawn through the first point.
        first = row["errors"][0][0]
        line = [first * math.exp(row["theory"] * (count - counts[0])) for count in counts]
        axes.plot(counts, line, ":", color=colour, linewidth=1)
    axes.set_xscale("log")
    axes.set_yscale("log")
    least = min(row["errors"][-1][0] for row in measured["errors"])
    axes.set_ylim(bottom=least / 50)  # room for the legend below the points
    ticks = [5, 10, 20, 50, 100, 200]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.xaxis.set_minor_formatter(lambda *_: "")
    axes.set_xlabel("candidates, each usable with probability p (dotted: p log 2 each)")
    axes.set_ylabel("error of the nearest subset sum, geometric mean")
    axes.set_title("Subset sums", fontsize=11)


def draw_redraws(axes: Axes, redraws: Mapping[str, Any]) -> None:
    """Redraws of one weight against the error that it may have."""
    tolerances = [row["tolerance"] for row in redraws["rows"]]
    for name, label, slope, marker, colour in (
        ("greatest", "the greatest weight", "slope_greatest", "s", "C1"),
        ("redraws", "any weight", "slope", "o", "C0"),
    ):
        shown = f"{label}: slope {redraws[slope][0]:.3f}"
        _bars(axes, tolerances, [row[name] for row in redraws["rows"]], marker, colour, shown)
    axes.plot(
        tolerances, [4 / each for each in tolerances], ":", color="black", label="theory: at most 4 / error"
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("error of the weight")
    axes.set_ylabel("redraws, mean")
    axes.set_title("Redraws at constant width", fontsize=11)


def draw_widths(axes: Axes, measured: Mapping[str, Any]) -> None:
    """Width factors: candidates over those of the densest source that was measured."""
    rows = sorted(measured["candidates"], key=lambda row: -float(row["density"]))
    dense = rows[0]["candidates"][0]
    factors = [[math.nan if end is None else end / dense for end in row["candidates"]] for row in rows]
    across = [1 - density for density in _CURVE]
    axes.plot(across, [1 / density for density in _CURVE], "--", color="C1", label="1 / p")
    theory = [-1 / math.log1p(-density) for density in _CURVE]
    axes.plot(across, theory, ":", color="black", label="theorem: 1 / log(1 / (1 - p))")
    label = f"measured, error {measured['tolerance']:g}"
    _bars(axes, [1 - row["density"] for row in rows], factors, "o", "C0", label)
    axes.set_yscale("log")
    ticks = [0.2, 0.5, 1, 2, 5, 10, 20]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.yaxis.set_minor_formatter(lambda *_: "")
    axes.set_xlabel("sparsity 1 - p")
    axes.set_ylabel("candidates over those of a dense source")
    axes.set_title(f"Width factor, {measured['success']:.0%} success", fontsize=11)


def _bars(
    axes: Axes, x: list[float], intervals: list[list[float]], marker: str, colour: str, label: str
) -> None:
    values = [interval[0] for interval in intervals]
    below = [interval[0] - interval[1] for interval in intervals]
    above = [interval[2] - interval[0] for interval in intervals]
    axes.errorbar(
        x,
        values,
        yerr=[below, above],
        marker=marker,
        color=colour,
        label=label,
        linestyle="",
        capsize=2,
        ms=5,
    )
