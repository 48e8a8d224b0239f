"""The theorems' formulas: values worked out by hand, monotonicities, every rejection."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tombola import ArgumentError
from tombola.theory.bounds import (
    least_width,
    practical_candidates,
    redraws_needed,
    sparsity_factor,
    subset_sum_candidates,
    width_factor,
)

DENSITIES = st.floats(0.001, 1.0)
SMALL = st.floats(1e-9, 0.5)


def test_candidates_by_hand() -> None:
    # log2(1/0.01) = 6.64; log2(20) is less, log2(20 · 1000) = 14.29 more.
    assert subset_sum_candidates(0.01, 0.05) == 7
    assert subset_sum_candidates(0.01, 0.05, problems=1000) == 15
    # C = 2: 2 · log 100 = 9.21; p = 0.1: 9.21 / log(1/0.9) = 87.4; p = 0.9: not less than dense.
    assert subset_sum_candidates(0.01, 0.05, constant=2) == 10
    assert subset_sum_candidates(0.01, 0.05, 0.1, constant=2) == 88
    assert subset_sum_candidates(0.01, 0.05, 0.9, constant=2) == 10
    assert subset_sum_candidates(2.0, 0.999) == 1


def test_failures_that_float64_cannot_divide() -> None:
    # log2(10^320 · 10^9) = 1092.9
    assert subset_sum_candidates(0.01, 1e-320, problems=1e9) == pytest.approx(1093, abs=1)
    assert redraws_needed(0.5, 1e-320, problems=1e9) == pytest.approx(
        math.log(10) * 329 / -math.log(7 / 8), rel=1e-3
    )
    with pytest.raises(ArgumentError, match="too small to be shared by 1000000 inputs"):
        least_width(1_000_000, 0.5, 1e-320)
    with pytest.raises(ArgumentError, match=r"the redraws needed are more than 1e\+300"):
        redraws_needed(1e-320, 0.1)


def test_factors_by_hand() -> None:
    assert sparsity_factor(0.5) == pytest.approx(1 / math.log(2))
    assert sparsity_factor(1 - 1 / math.e) == pytest.approx(1)
    assert sparsity_factor(0.9) == pytest.approx(1 / math.log(10))
    assert sparsity_factor(1.0) == 0
    assert sparsity_factor(1e-12) == pytest.approx(1e12)
    assert [width_factor(density) for density in (1.0, 0.9, 0.64)] == [1, 1, 1]
    assert width_factor(0.5) == sparsity_factor(0.5)


def test_redraws_by_hand() -> None:
    # (1 - 0.01/4)^1197 is the first below 0.05.
    assert redraws_needed(0.01, 0.05) == 1197
    assert (1 - 0.0025) ** 1197 <= 0.05 < (1 - 0.0025) ** 1196
    assert redraws_needed(0.01, 0.05, problems=100) == math.ceil(math.log(2000) / -math.log(0.9975))


def test_the_least_width_by_hand() -> None:
    # One input: 0.5^5 = 1/32 <= 0.05 < 0.5^4. Ten: (1 - 2^-8)^10 = 0.962, (1 - 2^-7)^10 = 0.925.
    assert least_width(1, 0.5, 0.05) == 5
    assert least_width(10, 0.5, 0.05) == 8
    assert least_width(784, 1.0, 0.05) == 1
    assert least_width(1, 0.9999, 0.5) == 1


def test_practical_candidates_are_no_fewer_than_measured() -> None:
    """The least numbers for 95 % success at 0.01, docs/theory.md; and not twice as many as those."""
    measured = {1.0: 11, 0.9: 13, 0.7: 18, 0.5: 26, 0.3: 45, 0.2: 68, 0.1: 138}
    for density, least in measured.items():
        assert least <= practical_candidates(0.01, density) < 2 * least


@given(SMALL, SMALL, SMALL, DENSITIES, DENSITIES)
def test_monotone_in_everything(first: float, second: float, failure: float, p: float, q: float) -> None:
    tight, loose = sorted((first, second))
    sparse, dense = sorted((p, q))
    assert subset_sum_candidates(tight, failure, p) >= subset_sum_candidates(loose, failure, p)
    assert subset_sum_candidates(failure, tight, p) >= subset_sum_candidates(failure, loose, p)
    assert subset_sum_candidates(tight, failure, sparse) >= subset_sum_candidates(tight, failure, dense)
    assert subset_sum_candidates(tight, failure, p, problems=9) >= subset_sum_candidates(tight, failure, p)
    assert practical_candidates(tight, sparse) >= practical_candidates(loose, dense)
    assert redraws_needed(tight, failure) >= redraws_needed(loose, failure)
    assert redraws_needed(failure, tight) >= redraws_needed(failure, loose)
    assert width_factor(sparse) >= width_factor(dense) >= 1
    assert least_width(3, sparse, failure) >= least_width(2, dense, failure)


@given(DENSITIES)
def test_the_theorems_factor_is_below_one_over_p(density: float) -> None:
    assert sparsity_factor(density) <= 1 / density


@given(st.integers(1, 1000), DENSITIES, st.floats(1e-6, 0.9))
def test_the_least_width_is_what_the_probability_asks(inputs: int, density: float, failure: float) -> None:
    width = least_width(inputs, density, failure)

    def connected(neurons: int) -> float:
        return inputs * math.log1p(-((1 - density) ** neurons)) if density < 1 or neurons else -math.inf

    assert connected(width) >= math.log1p(-failure) * (1 + 1e-6) - 1e-12
    if width > 1:
        assert connected(width - 1) <= math.log1p(-failure) * (1 - 1e-6) + 1e-12


@given(SMALL, st.floats(1e-6, 0.9))
def test_redraws_stay_below_the_simple_form(tolerance: float, failure: float) -> None:
    assert redraws_needed(tolerance, failure) <= max(1, math.ceil(4 * math.log(1 / failure) / tolerance))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: subset_sum_candidates(0.0, 0.1), "tolerance must be finite and above 0, got 0.0"),
        (lambda: subset_sum_candidates(math.nan, 0.1), "tolerance must be finite and above 0, got nan"),
        (lambda: subset_sum_candidates(math.inf, 0.1), "tolerance must be finite"),
        (lambda: subset_sum_candidates(0.1, 1.0), r"failure must be in \(0, 1\), got 1.0"),
        (lambda: subset_sum_candidates(0.1, 0.0), r"failure must be in \(0, 1\)"),
        (lambda: subset_sum_candidates(0.1, 0.1, 0.0), "density is the fraction"),
        (lambda: subset_sum_candidates(0.1, 0.1, constant=0), "constant must be finite and above 0"),
        (
            lambda: subset_sum_candidates(0.1, 0.1, problems=0),
            "problems must be a finite number of at least 1",
        ),
        (lambda: subset_sum_candidates(0.1, 0.1, problems=math.inf), "problems must be"),
        (lambda: practical_candidates(-1.0), "tolerance must be"),
        (lambda: practical_candidates(0.1, 1.5), "density is the fraction"),
        (lambda: sparsity_factor(math.nan), "density is the fraction"),
        (lambda: width_factor(0.0), "density is the fraction"),
        (lambda: redraws_needed(1.0, 0.1), r"tolerance must be in \(0, 1\)"),
        (lambda: redraws_needed(0.1, 2.0), "failure must be"),
        (lambda: redraws_needed(0.1, 0.1, problems=0.5), "problems must be"),
        (lambda: least_width(0, 0.5, 0.1), "inputs must be at least 1, got 0"),
        (lambda: least_width(1, 2.0, 0.1), "density is the fraction"),
        (lambda: least_width(1, 0.5, -0.1), "failure must be"),
    ],
)
def test_rejections(call: Callable[[], float], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        call()


def test_candidates_at_the_end_of_float64() -> None:
    assert practical_candidates(1e-320) == practical_candidates(1e-30)
    with pytest.raises(ArgumentError, match="a density of 1e-310 needs more neurons than there are numbers"):
        practical_candidates(0.01, 1e-310)
