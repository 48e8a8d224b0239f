"""A picture of layerwise densities: what each rule gives each layer of a network."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

from tombola.errors import missing_extra
from tombola.files import write_atomically

MARKERS = "os^Dvx"


def draw_densities(rules: Mapping[str, Mapping[str, float]], title: str, png: Path) -> None:
    """Write a PNG of {rule: {layer: p_l}}, all of the same layers, p_l on a logarithmic scale.

    Raises TombolaError where matplotlib is not installed, OSError where the file cannot be written.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import LogLocator
    except ModuleNotFoundError:
        raise missing_extra("drawing", "vision") from None
    layers = list(next(iter(rules.values())))
    buffer = io.BytesIO()
    with rc_context({"text.parse_math": False}):  # a dollar sign in a name is a dollar sign
        figure = Figure(figsize=(max(7.0, 0.38 * len(layers)), 4.8), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        for number, (rule, found) in enumerate(rules.items()):
            marker = MARKERS[number % len(MARKERS)]
            axes.plot(range(len(layers)), [found[layer] for layer in layers], marker=marker, label=rule)
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(LogLocator(subs=(2.0, 3.0, 5.0)))
        for axis_labels in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
            axis_labels(lambda value, _: f"{value:.3g}")  # plain numbers: the range is short
        axes.set_xticks(range(len(layers)), layers, rotation=60, ha="right", fontsize=8)
        axes.set_ylabel("density of the layer")
        axes.set_title(title, fontsize=11)
        axes.grid(alpha=0.3, which="both")
        axes.legend(fontsize=9)
        figure.savefig(buffer, dpi=110)
    write_atomically(png, buffer.getvalue())
