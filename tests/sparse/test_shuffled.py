"""shuffled: as many weights in every tensor, at random places, inside of a source where one is given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tombola import ArgumentError, Mask
from tombola.sparse import shuffled


def drawn(generator: np.random.Generator, density: float) -> Mask:
    shapes = {"a": (6, 7), "b": (3, 2, 3, 3), "c": (5,), "none": (0, 4)}
    return Mask({name: generator.random(shape) < density for name, shape in shapes.items()})


@given(st.integers(0, 1 << 30), st.floats(0, 1), st.integers(0, (1 << 64) - 1))
def test_counts_and_shapes_stay(draw: int, density: float, seed: int) -> None:
    mask = drawn(np.random.default_rng(draw), density)
    moved = shuffled(mask, seed)
    assert moved.shapes == mask.shapes
    assert list(moved) == list(mask)
    assert [array.sum() for array in moved.values()] == [array.sum() for array in mask.values()]


@given(st.integers(0, 1 << 30), st.floats(0, 1), st.floats(0, 1))
def test_it_stays_within_a_source(draw: int, density: float, inside: float) -> None:
    generator = np.random.default_rng(draw)
    source, part = drawn(generator, density), drawn(generator, inside)
    mask = Mask({name: source[name] & part[name] for name in source})
    moved = shuffled(mask, draw, within=source)
    assert moved <= source
    assert [array.sum() for array in moved.values()] == [array.sum() for array in mask.values()]


def test_the_seed_and_the_name_decide() -> None:
    mask = Mask({name: np.arange(400) < 200 for name in ("a", "b")})
    first = shuffled(mask, 1)
    assert first == shuffled(mask, 1)
    assert first != shuffled(mask, 2)
    assert not np.array_equal(first["a"], first["b"])
    # No memory of where the weights were: about half of them are in the first half.
    assert 70 < first["a"][:200].sum() < 130


def test_every_place_is_as_likely_as_another() -> None:
    hits = sum(shuffled({"a": [1, 1, 0, 0, 0]}, seed)["a"].astype(int) for seed in range(2000))
    # 2000 · 2/5 = 800 each, standard deviation 22.
    assert np.abs(hits - 800).max() < 110


def test_plain_arrays_do_and_are_left_alone() -> None:
    arrays = {"a": np.array([True, False, False])}
    shuffled(arrays, 0, within={"a": [1, 1, 0]})
    assert arrays["a"].tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("mask", "seed", "within", "message"),
    [
        ({"a": [1, 1, 0]}, 0, {"a": [1, 0, 1]}, "the mask to shuffle leaves the one it is to stay within"),
        ({"a": [1, 0]}, 0, {"a": [1, 1, 1]}, "the mask to shuffle leaves the one"),
        ({"a": [1, 0]}, 0, {"b": [1, 1]}, "the mask to shuffle leaves the one"),
        ({"a": [1, 0]}, -1, None, r"seed must be an integer in \[0, 2\^64\), got -1"),
        ({"a": [1, 0]}, 0.5, None, r"seed must be an integer in \[0, 2\^64\), got 0.5"),
        ({"a": [0.5, 0]}, 0, None, "mask 'a': expected booleans"),
        ({"a": [1, 0]}, 0, {"a": ["x", "y"]}, "mask 'a': expected booleans"),
    ],
)
def test_what_cannot_be_shuffled_is_refused(mask: Any, seed: Any, within: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        shuffled(mask, seed, within)
