"""The picture of layerwise densities: what is drawn, and on which scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from tombola.report.densities import draw_densities

RULES = {"uniform": {"a.weight": 0.3, "b$x$": 0.3}, "balanced": {"a.weight": 0.001, "b$x$": 1.0}}


def test_lines_on_a_logarithmic_scale(tmp_path: Path, drawn: list[Figure]) -> None:
    draw_densities(RULES, "a title", tmp_path / "d.png")
    ((axes,),) = [figure.axes for figure in drawn]
    assert axes.get_yscale() == "log"
    assert axes.get_title() == "a title"
    lines = {str(line.get_label()): np.asarray(line.get_ydata()).tolist() for line in axes.get_lines()}
    assert lines == {rule: list(found.values()) for rule, found in RULES.items()}
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a.weight", "b$x$"]
    # Plain numbers, as many as tell the decades apart.
    major = [label.get_text() for label in axes.get_yticklabels()]
    assert {"0.001", "0.01", "0.1", "1"} <= set(major)
    with Image.open(tmp_path / "d.png") as image:
        assert image.format == "PNG"
