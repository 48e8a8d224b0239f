"""The picture of layerwise densities: what is drawn, and on which scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from tombola.report.densities import draw_densities

RULES = {"uniform": {"a.weight": 0.3, "b$x$": 0.3}, "balanced": {"a.weight": 0.001, "b$x$": 1.0}}


def test_lines_on_a_logarithmic_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Figure] = []
    real = Figure.savefig

    def spy(figure: Figure, *arguments: Any, **options: Any) -> None:
        figures.append(figure)
        real(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", spy)
    draw_densities(RULES, "a title", tmp_path / "d.png")
    ((axes,),) = [figure.axes for figure in figures]
    assert axes.get_yscale() == "log"
    assert axes.get_title() == "a title"
    drawn = {str(line.get_label()): np.asarray(line.get_ydata()).tolist() for line in axes.get_lines()}
    assert drawn == {rule: list(found.values()) for rule, found in RULES.items()}
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a.weight", "b$x$"]
    # Plain numbers, as many as tell the decades apart.
    major = [label.get_text() for label in axes.get_yticklabels()]
    assert {"0.001", "0.01", "0.1", "1"} <= set(major)
    with Image.open(tmp_path / "d.png") as image:
        assert image.format == "PNG"
