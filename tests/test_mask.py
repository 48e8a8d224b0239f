"""Mask: a validated mapping; top_k: exact counts, stated ties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tombola import ArgumentError, Mask
from tombola.mask import top_k

few_values = st.lists(st.integers(-3, 3), min_size=1, max_size=40)


@given(few_values, st.data())
def test_top_k_is_the_stable_sort(values: list[int], data: st.DataObject) -> None:
    keep = data.draw(st.integers(0, len(values)))
    order = sorted(range(len(values)), key=lambda index: (-values[index], index))
    expected = [index in order[:keep] for index in range(len(values))]
    assert top_k(np.array(values, dtype=np.float32), keep).tolist() == expected


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=40), st.data())
def test_top_k_counts_exactly_for_any_floats(values: list[float], data: st.DataObject) -> None:
    keep = data.draw(st.integers(0, len(values)))
    scores = np.array(values, dtype=np.float32)
    mask = top_k(scores, keep)
    assert mask.sum() == keep
    if 0 < keep < len(values):
        assert scores[mask].min() >= scores[~mask].max()


def test_top_k_leaves_the_scores_alone() -> None:
    scores = np.array([3.0, 1.0, 2.0], dtype=np.float32)
    top_k(scores, 1)
    assert scores.tolist() == [3.0, 1.0, 2.0]


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_top_k_refuses_nan(keep: int) -> None:
    with pytest.raises(ArgumentError, match="scores must be numbers, got NaN at index 1"):
        top_k(np.array([1.0, np.nan, 2.0], dtype=np.float32), keep)


def test_density_counts_kept_weights() -> None:
    mask = Mask({"a": [[True, False]], "b": [True, True, False, False, False, False]})
    assert (mask.kept, mask.total, mask.density) == (3, 8, 0.375)
    assert mask.shapes == {"a": (1, 2), "b": (6,)}
    assert Mask({}).density == 0.0


def test_masks_compare_by_content_in_any_order() -> None:
    mask = Mask({"a": [1, 0], "b": [1]})
    assert mask == Mask({"a": [True, False], "b": [True]})
    assert mask == Mask({"b": [1], "a": [1, 0]})
    assert mask != Mask({"a": [1, 1], "b": [1]})
    assert mask != Mask({"a": [1, 0]})
    assert mask != 3


def test_subset() -> None:
    small, large = Mask({"a": [1, 0, 0]}), Mask({"a": [1, 0, 1]})
    assert small <= large
    assert not large <= small
    assert not small <= Mask({"b": [1, 1, 1]})


def test_a_mask_cannot_be_changed() -> None:
    given_array = np.array([True, False])
    mask = Mask({"a": given_array})
    given_array[1] = True
    assert mask.kept == 1
    with pytest.raises(ValueError, match="read-only"):
        mask["a"][0] = False


@pytest.mark.parametrize("values", [[0.5], [2], ["yes"], [None]])
def test_what_is_not_boolean_is_refused(values: list[object]) -> None:
    with pytest.raises(ArgumentError, match="mask 'a': expected booleans, got"):
        Mask({"a": np.array(values)})
