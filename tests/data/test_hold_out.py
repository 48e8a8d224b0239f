"""hold_out: disjoint, exhaustive, exact counts by class, a function of (seed, name)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tombola.data import hold_out
from tombola.errors import ArgumentError

label_lists = st.lists(st.integers(0, 5), min_size=1, max_size=80)
fractions = st.floats(0, 0.95)


@given(label_lists, fractions, st.integers(0, 2**64 - 1))
def test_disjoint_exhaustive_sorted_and_exact_by_class(labels: list[int], fraction: float, seed: int) -> None:
    wanted = {c: round(fraction * labels.count(c)) for c in set(labels)}
    if sum(wanted.values()) == len(labels):
        with pytest.raises(ArgumentError, match="leaves none"):
            hold_out(labels, fraction, seed, "x")
        return
    kept, held = hold_out(labels, fraction, seed, "x")
    assert sorted([*kept, *held]) == list(range(len(labels)))
    assert (np.diff(kept) > 0).all()
    assert (np.diff(held) > 0).all()
    values = np.asarray(labels)[held].tolist()
    assert {c: values.count(c) for c in set(labels)} == wanted


def test_the_draw_is_fixed_for_ever() -> None:
    # Golden: a change here moves every validation split, and so every published figure.
    kept, held = hold_out([0, 1] * 10, 0.3, 0, "golden")
    assert held.tolist() == [0, 1, 4, 10, 13, 17]
    assert len(kept) == 14


def test_seed_and_name_change_the_draw_and_nothing_else_does() -> None:
    labels = np.arange(200) % 4
    first = hold_out(labels, 0.25, 0, "a")[1].tolist()
    assert first == hold_out(labels.tolist(), 0.25, 0, "a")[1].tolist()
    assert first != hold_out(labels, 0.25, 1, "a")[1].tolist()
    assert first != hold_out(labels, 0.25, 0, "b")[1].tolist()


def test_the_draw_is_spread_over_the_class() -> None:
    # 500 of 1000: the mean index of a fair draw lies within 4 of its standard deviations (9.1) of 499.5.
    held = hold_out(np.zeros(1000, dtype=np.int64), 0.5, 3, "spread")[1]
    assert abs(held.mean() - 499.5) < 37


def test_labels_need_not_be_dense() -> None:
    kept, held = hold_out([-7, -7, 10**9, 10**9], 0.5, 0, "x")
    assert (len(kept), len(held)) == (2, 2)


def test_nothing_held_out() -> None:
    kept, held = hold_out([0, 1, 1], 0.0, 0, "x")
    assert kept.tolist() == [0, 1, 2]
    assert held.tolist() == []
    assert held.dtype == np.int64


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 2.0, float("nan"), float("inf")])
def test_a_fraction_outside_the_range_is_refused(fraction: float) -> None:
    with pytest.raises(ArgumentError, match=r"in \[0, 1\), got"):
        hold_out([0, 1], fraction, 0, "x")


@pytest.mark.parametrize(("labels", "fraction"), [([0, 1, 2], 0.9), ([], 0.5), ([], 0.0)])
def test_leaving_nothing_is_refused(labels: list[int], fraction: float) -> None:
    with pytest.raises(ArgumentError, match="leaves none"):
        hold_out(labels, fraction, 0, "x")


@pytest.mark.parametrize("seed", [-1, 2**64, True, 0.5])
def test_a_bad_seed_is_refused(seed: int) -> None:
    with pytest.raises(ArgumentError, match="seed"):
        hold_out([0, 1, 0, 1], 0.5, seed, "x")
