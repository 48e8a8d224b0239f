"""How wide a source each theorem asks for, layer by layer: for a target, or for the sizes of one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tombola.errors import ArgumentError
from tombola.source.density import check_density
from tombola.theory.bounds import (
    ONE_BIT,
    check_range,
    least_width,
    redraws_needed,
    subset_sum_candidates,
)
from tombola.theory.target import TargetLayer

_ROUNDS = 100
_MOST_NEURONS = 10**15


@dataclass(frozen=True)
class LayerFacts:
    """What the formulas ask of layer l of a target."""

    inputs: int
    """n_{l-1}, channels for a convolution; for a linear layer after a convolution, pixels of channels."""
    outputs: int
    """n_l."""
    fan_in: int
    """What one output sums over: inputs times the positions of a kernel."""
    parameters: int
    """Weights and biases that are not 0."""
    norm: float
    """‖W_l‖_∞, the greatest sum of |weights| of a row."""
    reach: float
    """B_{l-1} ≥ sup ‖x^(l-1)‖_1 over the box."""
    greatest: float
    """The greatest |parameter|, at least 1: by so much the constructions rescale."""
    relu: bool = True
    """Whether a ReLU follows, so that what the next layer reads is not below 0."""


@dataclass(frozen=True)
class LayerWidths:
    """Source neurons that carry the target's layer l (0 its inputs), and what its out-edges have to do.

    `two_layers`: the univariate layer between the target's layers l and l + 1. `one_extra_layer`: the source
    layer of the copies of layer l. `…_dense`: in a source of density 1. `redraw_dense`: neurons at constant
    width, with `redraws` of each weight; the theorem is of dense sources, in a sparse one `construct` takes
    as many more as it takes for one live edge each. `least`: the necessary width (`bounds.least_width`).
    """

    neurons: int
    density: float
    tolerance: float
    two_layers_dense: int
    two_layers: int
    one_extra_layer_dense: int
    one_extra_layer: int
    redraw_dense: int
    redraws: int
    least: int


def facts_of_sizes(sizes: Sequence[int]) -> list[LayerFacts]:
    """The worst of all linear targets with `sizes` = (n_0, …, n_L), parameters in [-1, 1], over [-1, 1]^n_0.

    Raises ArgumentError for fewer than two sizes, or one below 1 or beyond what any network has.
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise ArgumentError(f"sizes must be at least two numbers of at least 1, got {list(sizes)}")
    if max(sizes) > _MOST_NEURONS:
        raise ArgumentError(f"sizes must be at most {_MOST_NEURONS}, got {max(sizes)!s:.20}")
    facts = []
    top, reach = 1.0, float(sizes[0])  # sup ‖x‖_∞ and sup ‖x‖_1
    for number, (inputs, outputs) in enumerate(pairwise(sizes), 1):
        parameters, relu = (inputs + 1) * outputs, number < len(sizes) - 1
        facts.append(LayerFacts(inputs, outputs, inputs, parameters, float(inputs), reach, 1.0, relu))
        top = inputs * top + 1
        reach = outputs * top
    return facts


def facts_of_target(target: Sequence[TargetLayer], bound: float = 1.0) -> list[LayerFacts]:
    """The facts of a target as `read_target` gives it, for inputs in [-bound, bound].

    Raises ArgumentError for a convolution whose input's size is not known, or a bound that is not positive.
    """
    check_range("bound", bound, math.inf)
    facts: list[LayerFacts] = []
    top, reach = bound, 0.0
    for number, layer in enumerate(target):
        if layer.convolution is not None and layer.size is None:
            raise ArgumentError(f"layer {number} is a convolution of unknown input size: give input_shape")
        rows = np.abs(layer.weight).sum(axis=(1, 2))
        biases = np.abs(layer.bias)
        if number == 0:
            reach = bound * layer.inputs * (1 if layer.size is None else math.prod(layer.size))
        facts.append(
            LayerFacts(
                layer.inputs,
                layer.outputs,
                layer.inputs * layer.taps,
                int(np.count_nonzero(layer.weight) + np.count_nonzero(layer.bias)),
                float(rows.max()),
                reach,
                max(1.0, float(np.abs(layer.weight).max()), float(biases.max())),
                layer.relu,
            )
        )
        sups = rows * top + biases
        positions = 1
        if layer.convolution is not None and layer.size is not None:
            positions = math.prod(layer.convolution.output_size(layer.size))
        top, reach = float(sups.max()), positions * float(sups.sum())
    return facts


def layer_tolerances(layers: Sequence[LayerFacts], error: float) -> list[float]:
    """ε_l for l = 1 … L: parameters off by no more give a function off by no more than `error`, ε.

    Paper B, theorem 2.4: ε_l = ε / (n_L L) · [(1 + B_{l-1}) (1 + ‖W_l‖_∞) Π_{k>l} (‖W_k‖_∞ + ε/L)]^-1, and
    n_{l-1} ε_l ≤ ε/L (the fan-in for a convolution). In units of the layer's greatest parameter where that is
    above 1.

    Raises ArgumentError for an error that is not positive, or tolerances beyond float64.
    """
    check_range("error", error, math.inf)
    depth = len(layers)
    after = 1.0
    found: list[float] = []
    for layer in reversed(layers):
        amplified = (1 + layer.reach) * (1 + layer.norm) * after
        tolerance = min(error / (layers[-1].outputs * depth) / amplified, error / depth / layer.fan_in)
        found.insert(0, tolerance / layer.greatest)
        after *= layer.norm + error / depth
    if not min(found) > 0:
        raise ArgumentError("the tolerances come to 0 in float64: the target is too deep or too wide")
    return found


def required_widths(
    layers: Sequence[LayerFacts],
    density: float | Sequence[float],
    error: float,
    delta: float,
    *,
    constant: float = ONE_BIT,
    nonnegative: bool = False,
) -> list[LayerWidths]:
    """What each construction needs to come within `error` of the target with probability 1 - `delta`.

    One entry for each of the target's layers 0 … L - 1; the last, n_L, is built as it is. `density`: of the
    source, or of the tensor that holds each target layer's subset sums (p_{l+1} for the neurons of layer l).
    `constant`: the theorems' C. `nonnegative`: no input is below 0, so each needs one side only.

    2L: n = sides · n_{T,l} candidates each, C f(p) log(1/min(ε, δ/N)) (Pensia et al. 2020; paper B, theorem
    2.5). L + 1: the same with n_{T,l} built as many times, so that N, the number of subset sums, grows with
    the widths that it determines: iterated until it stays (paper B, theorem 2.4; Burkholz 2022). Constant
    width: one neuron for each side of each input (paper A).

    Raises ArgumentError for numbers out of range or densities of another number than layers.
    """
    check_range("delta", delta, 1.0)
    densities = [density] * len(layers) if isinstance(density, (int, float)) else list(density)
    if len(densities) != len(layers):
        raise ArgumentError(f"expected a density for each of {len(layers)} layers, got {len(densities)}")
    for each in densities:
        check_density(each)
    own = layer_tolerances(layers, error)
    # The copies of layer l are held to its own tolerance as well as to that of the weights they feed.
    both = [min(own[max(0, index - 1)], tolerance) for index, tolerance in enumerate(own)]
    dense = [1.0] * len(layers)
    above = [nonnegative, *(layer.relu for layer in layers)]  # whether what a layer reads is not below 0
    sides = [1 if above[index] else 2 for index in range(len(layers))]
    two = float(sum(side * layer.parameters for side, layer in zip(sides, layers, strict=True)))
    # The weight into each neuron has to be found among as many draws as those out of it.
    redrawn = two + sum(side * layer.inputs for side, layer in zip(sides, layers, strict=True))

    def counts(tolerances: Sequence[float], each: Sequence[float], problems: float) -> list[int]:
        return [
            side * subset_sum_candidates(tolerance, delta, p, problems=problems, constant=constant)
            for side, tolerance, p in zip(sides, tolerances, each, strict=True)
        ]

    def copies(each: Sequence[float]) -> list[int]:
        return _settled(layers, sides, lambda problems: counts(both, each, problems))

    two_dense, two_sparse = counts(own, dense, two), counts(own, densities, two)
    one_dense, one_sparse = copies(dense), copies(densities)
    return [
        LayerWidths(
            neurons=layer.inputs,
            density=densities[index],
            tolerance=own[index],
            two_layers_dense=layer.inputs * two_dense[index],
            two_layers=layer.inputs * two_sparse[index],
            one_extra_layer_dense=layer.inputs * one_dense[index],
            one_extra_layer=layer.inputs * one_sparse[index],
            redraw_dense=sides[index] * layer.inputs,
            redraws=redraws_needed(min(own[index], 0.5), delta, problems=redrawn),
            least=least_width(layer.inputs, densities[index], delta),
        )
        for index, layer in enumerate(layers)
    ]


def _settled(
    layers: Sequence[LayerFacts], sides: Sequence[int], counts: Callable[[float], list[int]]
) -> list[int]:
    """Copies of each layer, enough for the number of subset sums that so many copies make. N grows from the
    least to a fixed point, and reaches it because the copies grow with log N alone.
    """
    copies = [1] * len(layers)
    for _ in range(_ROUNDS):
        # Subset sums build every copy of layer l, from both sides of the inputs; the last layer once.
        times = [*copies[1:], 1]
        parts = zip(times, sides, layers, strict=True)
        grown = counts(float(sum(count * side * layer.parameters for count, side, layer in parts)))
        if grown == copies:
            break
        copies = grown
    return copies
