"""Recipe: weights of any generation, from the seed alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tombola.rng import WORD_RANGE, Stream
from tombola.source.init import DISTRIBUTIONS, draw
from tombola.source.recipe import RandomTensor, Recipe, _smallest, ranked


def recipe(tensor: RandomTensor, init: str = "kaiming_normal", seed: int = 5) -> Recipe:
    return Recipe(seed, init, (tensor,))


TENSOR = RandomTensor("conv.weight", (4, 3, 5), 15)


@pytest.mark.parametrize("init", DISTRIBUTIONS)
def test_weights_of_mixed_generations(init: str) -> None:
    generations = Stream(1, "x", "y").integers(60, 4).astype(np.int32).reshape(4, 3, 5)
    weights = recipe(TENSOR, init).weights(TENSOR, generations)
    # Independently: draw every generation whole, and pick.
    whole = [draw(init, Stream(5, "conv.weight", "weight", g).words(60), 15) for g in range(4)]
    expected = np.choose(generations, [array.reshape(4, 3, 5) for array in whole])
    assert np.array_equal(weights, expected)


def test_initial_weights_are_generation_zero() -> None:
    zeros = np.zeros(TENSOR.shape, dtype=np.int32)
    made = recipe(TENSOR)
    assert np.array_equal(made.initial(TENSOR), made.weights(TENSOR, zeros))
    assert np.array_equal(made.initial(TENSOR), made.weights(TENSOR, None))


def test_one_weight_does_not_depend_on_which_others_are_asked_for() -> None:
    made = recipe(TENSOR)
    some = made.redrawn(TENSOR, 3, np.array([7, 59, 0]))
    assert some.tolist() == [made.redrawn(TENSOR, 3, np.array([i]))[0] for i in (7, 59, 0)]


def test_source_mask_has_the_density_of_its_words() -> None:
    tensor = RandomTensor("a", (200, 300), 300, alive_words=round(0.3 * WORD_RANGE))
    alive = recipe(tensor).alive(tensor)
    assert abs(int(alive.sum()) - 18_000) < 5 * 113
    # Entries are independent: no row or column has a density of its own (one published mask had).
    assert alive.mean(axis=1).min() > 0.1
    assert alive.mean(axis=0).min() > 0.1
    assert recipe(TENSOR).alive(TENSOR).all()


def test_source_mask_is_independent_of_the_weights() -> None:
    tensor = RandomTensor("a", (200, 300), 300, alive_words=WORD_RANGE // 2)
    made = recipe(tensor, "uniform")
    alive, positive = made.alive(tensor), made.initial(tensor) > 0
    assert abs(float(np.corrcoef(alive.ravel(), positive.ravel())[0, 1])) < 5 / np.sqrt(60_000)


@given(
    st.lists(st.integers(0, 2**32 - 1) | st.integers(0, 3) | st.just(2**32 - 1), min_size=1, max_size=60),
    st.data(),
)
def test_an_exact_count_is_the_first_in_order(words: list[int], data: st.DataObject) -> None:
    count = data.draw(st.integers(0, len(words)))
    first = sorted(range(len(words)), key=lambda index: (words[index], index))[:count]
    expected = [index in first for index in range(len(words))]
    assert _smallest(np.array(words, dtype=np.uint32), count).tolist() == expected


def test_an_exact_count_of_many() -> None:
    words = np.random.default_rng(0).integers(0, 2**32, 3 * 2**20 + 5, dtype=np.uint32)
    for count in (1, words.size // 3, words.size - 1):
        kept = _smallest(words, count)
        assert np.count_nonzero(kept) == count
        assert words[kept].max() < words[~kept].min()


@pytest.mark.parametrize("greatest", [0, 5, 30, 1000, 2**16, 2**31 - 1])
def test_ranks_of_generations(greatest: int) -> None:
    generations = np.array([greatest, 0, greatest, greatest // 2], dtype=np.int32)
    present, which = ranked(generations)
    assert present.tolist() == sorted({*generations.tolist()})
    assert present[which].tolist() == generations.tolist()
