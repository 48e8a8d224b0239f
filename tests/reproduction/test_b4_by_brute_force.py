"""Claim B4 disagrees with the theorem, so its measurement is made again, by brute force."""

from __future__ import annotations

import numpy as np
import pytest

from reproduction.theory import measured

TRIALS = 600


def taken(density: float, tolerance: float, drawn: np.random.Generator) -> int:
    """How many candidates it takes until the sum of some usable ones is within the tolerance of a target."""
    target, sums, count = drawn.uniform(-1, 1), np.zeros(1), 0
    while np.abs(sums - target).min() > tolerance:
        count += 1
        candidate = drawn.uniform(-1, 1)
        if drawn.random() < density:
            sums = np.concatenate([sums, sums + candidate])
    return count


@pytest.mark.parametrize("density", [1.0, 0.9, 0.7, 0.5, 0.3, 0.2, 0.1])
def test_the_candidates_that_sums_need(density: float) -> None:
    kept = measured()
    assert kept is not None
    (row,) = (row for row in kept["candidates"] if row["density"] == density)
    drawn = np.random.default_rng(round(1000 * density))
    ours = np.quantile([taken(density, kept["tolerance"], drawn) for _ in range(TRIALS)], kept["success"])
    # Four standard errors of a quantile of so many trials are some 8 % where counts vary most.
    assert ours == pytest.approx(row["candidates"][0], rel=0.08, abs=1)
