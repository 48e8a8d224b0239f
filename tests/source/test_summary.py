"""What a source came out as: by hand, and within binomial bounds; sources of exact counts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom
from torch import nn

from builders import LayerNormMLP, conv_batch_norm
from tombola import Source
from tombola.source.rules import RULES
from tombola.source.summary import edges


def matrix(rows: list[str]) -> np.ndarray:
    return np.array([[sign == "x" for sign in row] for row in rows])


def test_edges_by_hand() -> None:
    alive = matrix(["x..", "x.x"])
    inputs, outputs = edges(alive, nn.Linear(3, 2))
    assert inputs.tolist() == [2, 0, 1]
    assert outputs.tolist() == [1, 2]


def test_edges_of_a_kernel_count_its_positions() -> None:
    alive = np.zeros((2, 3, 2, 2), dtype=bool)
    alive[0, 1] = True
    alive[1, 1, 0, 0] = True
    inputs, outputs = edges(alive, nn.Conv2d(3, 2, 2))
    assert inputs.tolist() == [0, 5, 0]
    assert outputs.tolist() == [4, 1]


def test_edges_of_groups() -> None:
    # Two groups of two inputs and one output each.
    alive = matrix(["x.", ".x"])[..., None]
    inputs, outputs = edges(alive, nn.Conv1d(4, 2, 1, groups=2))
    assert inputs.tolist() == [1, 0, 0, 1]
    assert outputs.tolist() == [1, 1]


def test_edges_of_transposed_convolutions_and_embeddings() -> None:
    alive = matrix(["x..", "x.x"])
    inputs, outputs = edges(alive[..., None], nn.ConvTranspose1d(2, 3, 1))
    assert (inputs.tolist(), outputs.tolist()) == ([1, 2], [2, 0, 1])
    inputs, outputs = edges(alive, nn.Embedding(2, 3))
    assert (inputs.tolist(), outputs.tolist()) == ([1, 2], [2, 0, 1])


@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize("bias", [False, True])
def test_drawn_densities_are_within_binomial_bounds(rule: str, bias: bool) -> None:
    for layer in Source(conv_batch_norm(), seed=3, density=0.4, rule=rule, bias=bias).summary():
        assert layer.expected == pytest.approx(layer.asked, abs=1e-9)
        low, high = binom.interval(1 - 1e-9, layer.weights, layer.asked)
        assert low <= layer.drawn * layer.weights <= high


@pytest.mark.parametrize("rule", sorted(RULES))
def test_exact_sources_have_exactly_their_edges(rule: str) -> None:
    source = Source(conv_batch_norm(), seed=3, density=0.4, rule=rule, exact=True)
    for layer in source.summary():
        kept = int(source.mask[layer.name].sum())
        assert kept == round(layer.asked * layer.weights)
        assert layer.expected == layer.drawn == kept / layer.weights


def test_exact_sources_have_the_edges_of_the_smallest_words() -> None:
    drawn = Source(LayerNormMLP(), seed=3, density=0.4)
    exact = Source(LayerNormMLP(), seed=3, density=0.4, exact=True)
    for name, mask in drawn.mask.items():
        # One threshold parts the words of both: the one mask contains the other.
        assert mask.sum() != exact.mask[name].sum()
        assert (mask <= exact.mask[name]).all() or (exact.mask[name] <= mask).all()


def test_dead_neurons() -> None:
    source = Source(nn.Sequential(nn.Linear(50, 40), nn.ReLU(), nn.Linear(40, 30)), seed=1, density=0.02)
    for layer in source.summary():
        mask = source.mask[layer.name]
        assert layer.dead_inputs == int((mask.sum(0) == 0).sum()) > 0
        assert layer.dead_outputs == int((mask.sum(1) == 0).sum()) > 0
    assert all(layer.dead_inputs == 0 for layer in Source(LayerNormMLP()).summary())


def test_layers_that_take_no_part_are_whole() -> None:
    source = Source(LayerNormMLP(), density=0.5, include="fc1*")
    first, second = source.summary()
    assert (first.asked, second.asked, second.drawn) == (0.5, 1.0, 1.0)
    assert math.isclose(first.drawn, source.mask["fc1.weight"].mean())
