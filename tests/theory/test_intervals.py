"""Confidence intervals: values from tables, coverage counted exactly, every rejection."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from tombola import ArgumentError
from tombola.theory.intervals import clopper_pearson, mean, quantile, scale_fit, slope, slopes


def test_clopper_pearson_by_hand() -> None:
    # No success in ten: (1 - high)^10 = 0.025.
    assert clopper_pearson(0, 10)[:2] == (0.0, 0.0)
    assert clopper_pearson(0, 10).high == pytest.approx(1 - 0.025**0.1)
    assert clopper_pearson(10, 10).low == pytest.approx(0.025**0.1)
    assert clopper_pearson(10, 10).high == 1.0
    # Of the standard tables.
    assert clopper_pearson(3, 10)[1:] == pytest.approx((0.0667, 0.6525), abs=1e-4)


@pytest.mark.parametrize("trials", [1, 7, 40])
@pytest.mark.parametrize("chance", [0.01, 0.2, 0.5, 0.95])
def test_clopper_pearson_covers_a_known_binomial(trials: int, chance: float) -> None:
    """The probability of every outcome whose interval holds the truth, summed."""
    covered = 0.0
    for successes in range(trials + 1):
        _, low, high = clopper_pearson(successes, trials, 0.9)
        if low <= chance <= high:
            covered += stats.binom.pmf(successes, trials, chance)
    assert covered >= 0.9


@pytest.mark.parametrize(("count", "level"), [(20, 0.5), (100, 0.95), (200, 0.9)])
def test_a_quantiles_interval_covers_it(count: int, level: float) -> None:
    """Of `count` uniforms, so many lie below the quantile as a binomial says."""
    _, low, high = quantile(np.arange(1, count + 1), level, 0.9)
    # The interval holds the quantile where at least `low` values are below it, and fewer than `high`.
    first = 0 if low == -math.inf else int(low)
    last = count if high == math.inf else int(high) - 1
    covered = stats.binom.cdf(last, count, level) - stats.binom.cdf(first - 1, count, level)
    assert covered >= 0.9


def test_a_quantile_by_hand() -> None:
    assert quantile([5, 1, 4, 2, 3], 0.6).value == 3
    assert quantile([5, 1, 4, 2, 3], 0.61).value == 4
    assert quantile([7.0], 0.95) == (7.0, -math.inf, math.inf)
    assert quantile(np.full(200, 11), 0.95) == (11, 11, 11)


def test_the_interval_of_a_mean_by_hand() -> None:
    # Standard error 1 / √3, Student's 4.303 for two degrees of freedom.
    value, low, high = mean([1.0, 2.0, 3.0])
    assert value == 2
    assert (high - 2, 2 - low) == pytest.approx((4.3027 / math.sqrt(3),) * 2, rel=1e-4)


def test_a_slope_is_that_of_a_textbook() -> None:
    x, y = np.array([1.0, 2.0, 4.0, 7.0]), np.array([2.0, 1.0, 5.0, 6.0])
    other = stats.linregress(x, y)
    half = stats.t.isf(0.025, 2) * other.stderr
    assert slope(x, y) == pytest.approx((other.slope, other.slope - half, other.slope + half))
    assert slope(x, 3 * x + 1) == pytest.approx((3, 3, 3))


def test_slopes_of_rows() -> None:
    x = np.array([1.0, 3.0, 5.0])
    rows = np.array([2 * x, 7 - x, [0.0, 1.0, 0.0]])
    assert slopes(x, rows) == pytest.approx([2, -1, 0])
    assert slopes(x, rows).mean() == pytest.approx(slope(x, rows.mean(axis=0)).value)


def test_a_fit_of_one_factor() -> None:
    exact = scale_fit([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    assert exact.scale == pytest.approx((2, 2, 2))
    assert exact.residuals == pytest.approx([0, 0, 0], abs=1e-12)
    # Logs 0 and log 4: their mean is log 2.
    off = scale_fit([1.0, 4.0], [1.0, 1.0])
    assert off.scale.value == pytest.approx(2)
    assert off.residuals == pytest.approx([-math.log(2), math.log(2)])
    assert off.scale.low < 1
    assert off.scale.high > 4


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: clopper_pearson(3, 2), "expected 0 <= successes <= trials and a trial, got 3 of 2"),
        (lambda: clopper_pearson(-1, 2), "got -1 of 2"),
        (lambda: clopper_pearson(0, 0), "got 0 of 0"),
        (lambda: clopper_pearson(1, 2, confidence=1.0), r"confidence must be in \(0, 1\)"),
        (lambda: quantile([], 0.5), "a quantile of no values"),
        (lambda: quantile([1], 1.0), r"level must be in \(0, 1\)"),
        (lambda: mean([1.0]), "takes at least two values, got 1"),
        (lambda: slope([1, 2], [1, 2]), "a slope takes three points"),
        (lambda: slope([1, 1, 1], [1, 2, 3]), "not all at one x"),
        (lambda: slope([1, 2, 3], [1, 2]), r"x of shape \(3,\), y \(2,\)"),
    ],
)
def test_rejections(call: Callable[[], object], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        call()


def test_a_quantile_below_every_value() -> None:
    assert quantile(range(10), 1e-11).value == 0.0
