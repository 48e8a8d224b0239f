"""The picture of what trials say of the theory: what its three panels hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tombola.report.bounds import draw_bounds

MEASURED: dict[str, Any] = {
    "trials": 100,
    "tolerance": 0.01,
    "success": 0.95,
    "candidates": [
        {"density": 1.0, "candidates": [10, 9, 12]},
        {"density": 0.5, "candidates": [25, 20, None]},
    ],
    "errors": [
        {
            "density": 1.0,
            "counts": [6, 8],
            "errors": [[0.1, 0.05, 0.2], [0.02, 0.01, 0.03]],
            "slope": [-0.8, -0.9, -0.7],
            "theory": -0.693,
        }
    ],
    "redraws": {
        "rows": [
            {"tolerance": 0.1, "redraws": [10, 9, 11], "greatest": [25, 24, 26]},
            {"tolerance": 0.01, "redraws": [100, 90, 110], "greatest": [250, 240, 260]},
        ],
        "slope": [-1, -1.1, -0.9],
        "slope_greatest": [-1, -1.1, -0.9],
    },
}


def test_three_panels(tmp_path: Path, drawn: list[Figure]) -> None:
    draw_bounds(MEASURED, tmp_path / "b.png")
    ((errors, redraws, widths),) = [figure.axes for figure in drawn]
    assert [axes.get_yscale() for axes in (errors, redraws, widths)] == ["log"] * 3
    assert errors.get_legend_handles_labels()[1] == ["p = 1: slope -0.800, theory -0.693"]
    assert "theory: at most 4 / error" in redraws.get_legend_handles_labels()[1]
    labels = widths.get_legend_handles_labels()[1]
    assert labels == ["1 / p", "theorem: 1 / log(1 / (1 - p))", "measured, error 0.01"]
    lines = [np.asarray(line.get_xydata()).tolist() for axes in (errors, widths) for line in axes.get_lines()]
    assert [[6, 0.1], [8, 0.02]] in lines
    # 25 candidates in the place of 10.
    assert [[0.0, 1.0], [0.5, 2.5]] in lines
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")
