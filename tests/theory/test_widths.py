"""Widths layer by layer: tolerances by hand, what they promise, and how the constructions compare."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tombola import ArgumentError
from tombola.theory.bounds import least_width, redraws_needed, subset_sum_candidates
from tombola.theory.target import read_target
from tombola.theory.widths import (
    LayerFacts,
    facts_of_sizes,
    facts_of_target,
    layer_tolerances,
    required_widths,
)

SIZES = st.lists(st.integers(1, 30), min_size=2, max_size=5)


def test_the_facts_of_sizes_by_hand() -> None:
    # |x| <= 1, so |z| <= 2 + 1 and ‖x^(1)‖_1 <= 3 · 3.
    assert facts_of_sizes([2, 3, 4]) == [
        LayerFacts(inputs=2, outputs=3, fan_in=2, parameters=9, norm=2.0, reach=2.0, greatest=1.0),
        LayerFacts(3, 4, fan_in=3, parameters=16, norm=3.0, reach=9.0, greatest=1.0, relu=False),
    ]


@given(SIZES)
def test_sizes_are_the_worst_target_of_these_sizes(sizes: list[int]) -> None:
    worst = [(np.ones((b, a)), np.ones(b)) for a, b in pairwise(sizes)]
    assert facts_of_target(read_target(worst)) == facts_of_sizes(sizes)


def test_the_facts_of_a_target_by_hand() -> None:
    target = read_target([([[0.5, -2.0], [0.0, 1.0]], [0.25, 0.0]), ([[1.0, -1.0]], None)])
    first, second = facts_of_target(target, bound=3.0)
    assert (first.parameters, first.norm, first.reach, first.greatest) == (4, 2.5, 6.0, 2.0)
    # 2.5 · 3 + 0.25 and 1 · 3.
    assert (second.parameters, second.norm, second.reach) == (2, 2.0, 10.75)


def test_the_facts_of_a_convolution_by_hand() -> None:
    kernel = np.full((2, 1, 3, 3), -0.5)
    target = read_target([(kernel, None), (np.ones((1, 2 * 4 * 4)), None)], input_shape=(1, 6, 6))
    first, second = facts_of_target(target)
    assert (first.inputs, first.fan_in, first.norm, first.reach) == (1, 9, 4.5, 36.0)
    assert (second.inputs, second.reach) == (32, 32 * 4.5)


def test_tolerances_by_hand() -> None:
    # ε = 0.6, L = 2, n_L = 4: ε / (n_L L) = 0.075, ε / L = 0.3.
    tolerances = layer_tolerances(facts_of_sizes([2, 3, 4]), 0.6)
    assert tolerances == pytest.approx([0.075 / (3 * 3 * 3.3), 0.075 / (10 * 4)])
    # Without amplification the other condition binds: n_0 ε_1 <= ε / L.
    weak = [LayerFacts(inputs=50, outputs=1, fan_in=50, parameters=50, norm=0.01, reach=1.0, greatest=1.0)]
    assert layer_tolerances(weak, 0.5) == pytest.approx([0.5 / 50])
    rescaled = [LayerFacts(50, 1, 50, 50, 0.01, 1.0, greatest=4.0)]
    assert layer_tolerances(rescaled, 0.5) == pytest.approx([0.5 / 200])


@settings(max_examples=25, deadline=None)
@given(SIZES, st.integers(0, 1 << 30), st.floats(0.001, 1.0))
def test_parameters_within_the_tolerances_keep_the_error(sizes: list[int], seed: int, error: float) -> None:
    """At random inputs, and the corners of the box, every parameter off by its whole tolerance."""
    numbers = np.random.default_rng(seed)
    layers = [(numbers.uniform(-1, 1, (b, a)), numbers.uniform(-1, 1, b)) for a, b in pairwise(sizes)]
    tolerances = layer_tolerances(facts_of_target(read_target(layers)), error)
    inputs = np.vstack([numbers.uniform(-1, 1, (50, sizes[0])), numbers.choice([-1.0, 1.0], (50, sizes[0]))])
    exact, off = inputs, inputs
    for number, ((weight, bias), tolerance) in enumerate(zip(layers, tolerances, strict=True)):
        if number:
            exact, off = np.maximum(exact, 0), np.maximum(off, 0)
        signs = numbers.choice([-1, 1], weight.shape), numbers.choice([-1, 1], bias.shape)
        exact = exact @ weight.T + bias
        off = off @ (weight + tolerance * signs[0]).T + bias + tolerance * signs[1]
    assert np.abs(exact - off).max() <= error


def test_widths_by_hand() -> None:
    facts = facts_of_sizes([2, 3, 4])
    (first, second) = required_widths(facts, 0.5, error=0.6, delta=0.05)
    small, last = layer_tolerances(facts, 0.6)
    problems = 2 * 9 + 16  # both sides of the inputs
    assert first.two_layers_dense == 2 * 2 * subset_sum_candidates(small, 0.05, problems=problems)
    assert first.two_layers == 2 * 2 * subset_sum_candidates(small, 0.05, 0.5, problems=problems)
    assert second.two_layers == 3 * subset_sum_candidates(last, 0.05, 0.5, problems=problems)
    copies = second.one_extra_layer // 3
    grown = 2 * 9 * copies + 16
    assert first.one_extra_layer == 2 * 2 * subset_sum_candidates(small, 0.05, 0.5, problems=grown)
    assert copies == subset_sum_candidates(min(small, last), 0.05, 0.5, problems=grown)
    assert (first.neurons, second.neurons) == (2, 3)
    assert (first.redraw_dense, second.redraw_dense) == (4, 3)
    # With the weights into the neurons, two for each of two inputs, and one for each of three.
    assert first.redraws == redraws_needed(small, 0.05, problems=problems + 2 * 2 + 3)
    assert first.least == least_width(2, 0.5, 0.05)
    (positive, _) = required_widths(facts, 0.5, error=0.6, delta=0.05, nonnegative=True)
    assert positive.redraw_dense == 2
    assert positive.two_layers < first.two_layers


def test_copies_are_held_to_the_tighter_of_two_tolerances() -> None:
    facts = facts_of_sizes([784, 300, 100, 10])
    tight, middle, loose = layer_tolerances(facts, 0.01)
    assert tight < middle < loose < 1e-12  # the tolerances decide, not the number of sums
    widths = required_widths(facts, 1.0, 0.01, 0.05)
    copies = [row.one_extra_layer // row.neurons for row in widths]
    assert copies == [
        2 * subset_sum_candidates(tight, 0.05),
        subset_sum_candidates(tight, 0.05),
        subset_sum_candidates(middle, 0.05),
    ]


@given(SIZES, st.floats(0.01, 1.0), st.floats(0.01, 1.0))
def test_sparser_is_wider_and_never_below_dense(sizes: list[int], p: float, q: float) -> None:
    sparse, dense = sorted((p, q))
    facts = facts_of_sizes(sizes)
    for wide, narrow in zip(
        required_widths(facts, sparse, 0.1, 0.1), required_widths(facts, dense, 0.1, 0.1), strict=True
    ):
        assert wide.two_layers >= narrow.two_layers >= narrow.two_layers_dense
        assert wide.one_extra_layer >= narrow.one_extra_layer >= narrow.one_extra_layer_dense
        assert wide.one_extra_layer >= wide.neurons
        assert wide.two_layers_dense == narrow.two_layers_dense


def test_densities_layer_by_layer() -> None:
    facts = facts_of_sizes([5, 4, 3])
    first, second = required_widths(facts, [0.1, 1.0], 0.1, 0.1)
    assert (first.density, second.density) == (0.1, 1.0)
    assert first.two_layers > first.two_layers_dense
    assert second.two_layers == second.two_layers_dense


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: facts_of_sizes([3]), r"sizes must be at least two numbers of at least 1, got \[3\]"),
        (lambda: facts_of_sizes([3, 0]), "sizes must be"),
        (lambda: facts_of_target(read_target([([[1.0]], None)]), bound=0.0), "bound must be"),
        (
            lambda: facts_of_target(read_target([(np.ones((1, 1, 3, 3)), None)])),
            "layer 0 is a convolution of unknown input size: give input_shape",
        ),
        (lambda: layer_tolerances(facts_of_sizes([2, 2]), 0.0), "error must be finite and above 0"),
        (lambda: layer_tolerances(facts_of_sizes([10**6] * 60), 0.1), "too deep or too wide"),
        (lambda: required_widths(facts_of_sizes([2, 2]), 0.5, 0.1, 1.0), r"delta must be in \(0, 1\)"),
        (lambda: required_widths(facts_of_sizes([2, 2]), 1.5, 0.1, 0.1), "density is the fraction"),
        (lambda: required_widths(facts_of_sizes([2, 2]), [1, 1], 0.1, 0.1), "each of 1 layers, got 2"),
        (lambda: required_widths(facts_of_sizes([2, 2]), 1.0, math.nan, 0.1), "error must be"),
        (lambda: required_widths(facts_of_sizes([2, 2]), 1.0, 0.1, 0.1, constant=-1), "constant must be"),
    ],
)
def test_rejections(call: Callable[[], object], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        call()


def test_both_sides_after_a_layer_without_a_relu() -> None:
    with_relu = [nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)]
    for modules, sides in ((with_relu, 1), ([with_relu[0], with_relu[2]], 2)):
        facts = facts_of_target(read_target(nn.Sequential(*modules)))
        second = required_widths(facts, 1.0, 0.1, 0.05)[1]
        assert second.redraw_dense == sides * 4
        sums = 2 * facts[0].parameters + sides * facts[1].parameters
        one = subset_sum_candidates(second.tolerance, 0.05, problems=sums)
        assert second.two_layers == sides * 4 * one


def test_sizes_beyond_any_network() -> None:
    with pytest.raises(ArgumentError, match="^sizes must be at most 1000000000000000, got 1000"):
        facts_of_sizes([10**300, 1])
    with pytest.raises(ArgumentError, match="^sizes must be at most"):
        facts_of_sizes([10**400, 1])
