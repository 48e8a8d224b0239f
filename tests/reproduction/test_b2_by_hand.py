"""Claim B2 disagrees where masks are pyramidal, so their densities are computed again, by hand."""

from __future__ import annotations

import math

import pytest

import tombola
from tombola import densities, models

# Conv-6 of width 0.25: six convolutions of 3 × 3, three linear layers.
SIZES = [
    *(3 * 16 * 9, 16 * 16 * 9, 16 * 32 * 9, 32 * 32 * 9, 32 * 64 * 9, 64 * 64 * 9),
    *(1024 * 64, 64 * 64, 64 * 10),
]


def root(density: float) -> float:
    """p_1 with Σ m_l p_1^l = p Σ m_l, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        kept = math.fsum(size * middle**place for place, size in enumerate(SIZES, 1))
        low, high = (middle, high) if kept < density * sum(SIZES) else (low, middle)
    return low


@pytest.mark.parametrize(("density", "left"), [(0.2, 53), (0.05, 5), (0.01, 0)])
def test_what_the_pyramidal_rule_leaves_of_the_last_layer(density: float, left: int) -> None:
    model = models.conv6(width=0.25, in_channels=3, classes=10)
    shapes = {name: tuple(each.shape) for name, each in model.named_parameters() if each.ndim > 1}
    assert [math.prod(shape) for shape in shapes.values()] == SIZES
    found = densities(shapes, density, "pyramidal")
    assert list(found.values()) == pytest.approx([root(density) ** place for place in range(1, 10)])
    assert round(640 * found["fc3.weight"]) == left
    exact = tombola.Source(model, density=density, rule="pyramidal", exact=True)
    assert int(exact.mask["fc3.weight"].sum()) == left
