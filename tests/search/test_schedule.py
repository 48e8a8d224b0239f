"""Schedules against values worked out by hand."""

from __future__ import annotations

import math

import pytest

from tombola.errors import ArgumentError
from tombola.search.schedule import Cosine, Cubic


def test_half_a_cosine() -> None:
    """peak / 2 (1 + cos(π t / 6)): cos of 0°, 30°, 60°, 90°, 120°, 150°."""
    rate = Cosine(peak=0.2, steps=6)
    half_root = math.sqrt(3) / 2
    expected = [0.2, 0.1 * (1 + half_root), 0.15, 0.1, 0.05, 0.1 * (1 - half_root)]
    assert [rate(step) for step in range(6)] == pytest.approx(expected, abs=1e-15)


def test_the_end_is_zero_and_stays_so() -> None:
    rate = Cosine(peak=0.2, steps=6)
    assert rate(6) == rate(7) == rate(1000) == 0.0


def test_warm_up_rises_in_a_line_to_the_peak_and_then_falls() -> None:
    """Four steps of a quarter each, then a cosine over the six that are left."""
    rate = Cosine(peak=0.2, steps=10, warmup=4)
    assert [rate(step) for step in range(4)] == pytest.approx([0.05, 0.1, 0.15, 0.2])
    rest = Cosine(peak=0.2, steps=6)
    assert [rate(step) for step in range(4, 11)] == pytest.approx([rest(step) for step in range(7)])


def test_warm_up_over_the_whole_run() -> None:
    rate = Cosine(peak=1.0, steps=4, warmup=4)
    assert [rate(step) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]


def test_one_step() -> None:
    assert Cosine(peak=0.1, steps=1)(0) == 0.1


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (7, 0), (7, 3), (100, 5), (9, 9)])
def test_never_below_zero_nor_above_the_peak(steps: int, warmup: int) -> None:
    values = [Cosine(0.3, steps, warmup)(step) for step in range(steps)]
    assert all(0 < value <= 0.3 for value in values)
    assert max(values) == pytest.approx(0.3)
    assert values[:warmup] == sorted(values[:warmup])
    assert values[warmup:] == sorted(values[warmup:], reverse=True)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((1.5, 0.5, 0, 10), "the density to start from is the fraction .* got 1.5"),
        ((1.0, 0.0, 0, 10), "the density to end with is the fraction .* got 0.0"),
        ((1.0, 0.5, 10, 10), "begin must come before end, got 10 and 10"),
        ((1.0, 0.5, -1, 10), "begin must come before end, got -1 and 10"),
    ],
)
def test_a_cubic_that_cannot_be(values: tuple[float, float, int, int], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Cubic(*values)
