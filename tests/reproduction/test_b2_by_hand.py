"""Claim B2 disagrees where masks are pyramidal, so their densities are computed again, by hand."""

from __future__ import annotations

import math

import pytest
from torch import nn

import tombola
from reproduction.records import runs
from tombola import densities, models

# Conv-6 of width 0.25: six convolutions of 3 × 3, three linear layers.
SIZES = [
    *(3 * 16 * 9, 16 * 16 * 9, 16 * 32 * 9, 32 * 32 * 9, 32 * 64 * 9, 64 * 64 * 9),
    *(1024 * 64, 64 * 64, 64 * 10),
]


def network() -> nn.Module:
    return models.conv6(width=0.25, in_channels=3, classes=10)


SHAPES = {name: tuple(each.shape) for name, each in network().named_parameters() if each.ndim > 1}


def root(density: float) -> float:
    """p_1 with Σ m_l p_1^l = p Σ m_l, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        kept = math.fsum(size * middle**place for place, size in enumerate(SIZES, 1))
        low, high = (middle, high) if kept < density * sum(SIZES) else (low, middle)
    return low


def test_the_pyramidal_densities() -> None:
    assert [math.prod(shape) for shape in SHAPES.values()] == SIZES
    for density in (0.2, 0.05, 0.01):
        found = list(densities(SHAPES, density, "pyramidal").values())
        assert found == pytest.approx([root(density) ** place for place in range(1, 10)])


@pytest.mark.parametrize(
    ("density", "kept"), [(0.05, [(57, 8), (58, 7), (58, 11)]), (0.01, [(4, 0), (3, 0), (3, 0)])]
)
def test_what_the_masks_of_the_runs_leave_of_the_last_layers(
    density: float, kept: list[tuple[int, int]]
) -> None:
    for seed, (before, last) in enumerate(kept):
        mask = tombola.Source(network(), seed, density=density, rule="pyramidal").mask
        assert (int(mask["fc2.weight"].sum()), int(mask["fc3.weight"].sum())) == (before, last)
        row = runs("b2-0.05-0.01").where(rule="pyramidal", source_density=density, seed=seed).rows[0]
        assert float(row["density"]) == pytest.approx(mask.density, abs=1e-12)  # it is the run's own
        assert row["empty_layers"] == ("[]" if last else '["fc3.weight"]')
