"""The tests that decide, against scipy's and by their errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from reproduction.comparison import contrast, greater, more, not_less, spread

values = st.lists(st.integers(0, 1000).map(lambda value: value / 10), min_size=2, max_size=6)


@given(values, values)
def test_two_groups_are_welchs_test(first: list[float], second: list[float]) -> None:
    assume(len({*first}) > 1 and len({*second}) > 1)
    found = contrast((1, first), (-1, second))
    theirs = stats.ttest_ind(first, second, equal_var=False)
    low, high = theirs.confidence_interval(0.95)
    assert (found.estimate, found.p) == pytest.approx(
        (np.mean(first) - np.mean(second), theirs.pvalue), abs=1e-9
    )
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-6, abs=1e-9)


def test_four_groups_of_equal_variance_are_students_test() -> None:
    groups = [[1.0, 2.0, 3.0], [2.0, 3.0, 4.0], [11.0, 12.0, 13.0], [20.0, 21.0, 22.0]]
    found = contrast(*zip((1, -1, -1, 1), groups, strict=True))
    error = (4 * 1 / 3) ** 0.5  # each mean has variance 1/3
    margin = stats.t.ppf(0.975, 8) * error
    assert (found.estimate, found.low, found.high) == pytest.approx((8, 8 - margin, 8 + margin))
    assert found.p == pytest.approx(2 * stats.t.sf(8 / error, 8))


def test_groups_that_do_not_vary() -> None:
    assert contrast((1, [2.0, 2.0]), (-1, [1.0, 1.0])).p == 0
    assert contrast((1, [1.0, 1.0]), (-1, [1.0, 1.0])).p == 1


def test_one_value_has_no_variance() -> None:
    with pytest.raises(ValueError, match="fewer than two"):
        contrast((1, [1.0]), (-1, [1.0, 2.0]))


def test_equal_groups_are_told_apart_in_one_of_twenty() -> None:
    drawn = np.random.default_rng(0).normal(size=(2000, 2, 3))
    decided = [greater("", *pair).word != "not decided" for pair in drawn.tolist()]
    assert 0.02 < np.mean(decided) < 0.06  # Welch's test errs on the side of caution with three values


@pytest.mark.parametrize(
    ("first", "second", "word"),
    [
        ([61.0, 61.1, 60.9], [60.0, 60.1, 59.9], "agrees"),
        ([60.0, 60.1, 59.9], [61.0, 61.1, 60.9], "disagrees"),
        ([60.0, 62.0, 58.0], [59.0, 61.0, 57.0], "not decided"),
        ([60.0, 62.0], [], "not run"),
        ([60.0], [59.0, 58.0], "not run"),
    ],
)
def test_greater(first: list[float], second: list[float], word: str) -> None:
    found = greater("a", first, second)
    assert found.word == word
    assert found.figures == f"{spread(first)} against {spread(second)}"


def test_more_compares_the_gains() -> None:
    def around(mean: float) -> list[float]:
        return [mean - 0.1, mean, mean + 0.1]

    large, small = (around(53), around(50)), (around(61), around(60))
    assert more("", large, small).word == "agrees"
    assert more("", small, large).word == "disagrees"
    assert more("", large, large).word == "not decided"
    assert more("", large, (around(1), [])).word == "not run"
    assert more("", large, small).figures == "+3.00 against +1.00"


@pytest.mark.parametrize(
    ("less", "word"),
    [(0.0, "agrees"), (0.8, "agrees"), (1.0, "not decided"), (1.2, "disagrees"), (-3.0, "agrees")],
)
def test_not_less_has_its_margin(less: float, word: str) -> None:
    reached = [59.95, 60.0, 60.05]
    assert not_less("", [value - less for value in reached], reached, margin=1.0).word == word


def test_nothing_is_as_good_as_a_network_that_has_not_learnt() -> None:
    found = not_less("", [10.0, 10.0, 10.0], [10.0, 10.0, 10.0], margin=1.0)
    assert (found.word, found.test) == ("not decided", "the latter is below 30 %: it has not learnt")
    assert not_less("", [29.0, 29.1], [29.0, 29.1], margin=1.0).word == "not decided"
    assert not_less("", [31.0, 31.1], [31.0, 31.1], margin=1.0).word == "agrees"


def test_how_figures_are_told() -> None:
    assert spread([60.0, 61.0, 62.0]) == "61.00 ± 1.00 (n = 3)"
    assert spread([60.0]) == "60.00 (n = 1)"
    assert spread([]) == "not run"
    assert "+1.00 (" in greater("", [61.0, 61.1, 60.9], [60.0, 60.1, 59.9]).test
