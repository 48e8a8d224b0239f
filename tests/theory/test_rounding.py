"""Rounding: what float64 sums lose is added to every bound. Checked against exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tombola.theory.certificate import _ranges, bound
from tombola.theory.effective import Block, _Affine, _constants, _difference, _summed
from tombola.theory.layout import Module
from tombola.theory.target import Floats, TargetLayer

OUTPUTS, INPUTS = 40, 60


def numbers(seed: int, *shape: int) -> Floats:
    """Of many orders of magnitude, so that sums are rounded, and none is twice another."""
    random = np.random.default_rng(seed)
    found: Floats = random.uniform(-1, 1, shape) * 10.0 ** random.uniform(-8, 0, shape)
    return found


def layer(weight: Floats, bias: Floats, relu: bool = False) -> TargetLayer:
    return TargetLayer(weight[:, :, None], bias, relu)


def exact(terms: Floats) -> Fraction:
    return sum((Fraction(float(term)) for term in terms), Fraction(0))


@pytest.mark.parametrize("univariate", [True, False])
def test_the_errors_of_an_output_are_no_less_than_their_sum(univariate: bool) -> None:
    errors, off = np.abs(numbers(0, OUTPUTS, INPUTS, 1)), np.abs(numbers(1, OUTPUTS))
    target = layer(numbers(2, OUTPUTS, INPUTS), numbers(3, OUTPUTS))
    magnitudes = None if univariate else np.ones((OUTPUTS, INPUTS, 1))
    block = Block(univariate, 1, OUTPUTS, (errors, errors), off, magnitudes)
    shown = bound([target], [block], (np.zeros(INPUTS), np.ones(INPUTS))).output_errors
    for output, found in enumerate(shown):
        assert exact(errors[output, :, 0]) + Fraction(float(off[output])) <= Fraction(found)


def test_values_lie_in_the_ranges() -> None:
    weight, bias, point = numbers(0, OUTPUTS, INPUTS), numbers(1, OUTPUTS), np.ones(INPUTS)
    weight[:, -1] = -weight[:, :-1].sum(axis=1)  # so that sums cancel
    least, most = _ranges(layer(weight, bias), point, point)
    for output in range(OUTPUTS):
        value = exact(weight[output]) + Fraction(float(bias[output]))
        assert Fraction(float(least[output])) <= value <= Fraction(float(most[output]))
    above = _ranges(layer(weight, bias, relu=True), point, point)
    assert np.array_equal(above, np.maximum([least, most], 0.0))


def affine(bias: Floats, gain: float = 1.0) -> _Affine:
    rows = len(bias)
    weight = np.ones((rows, INPUTS, 1), np.float32)
    return _Affine(weight, bias.astype(np.float32), Module("affine", INPUTS, rows), gain, relu=False)


@pytest.mark.parametrize("gain", [1.0, 0.1])
def test_errors_of_weights_are_no_less_than_those_of_exact_sums(gain: float) -> None:
    values = numbers(0, OUTPUTS, INPUTS)
    values[:, -1] = -values[:, :-1].sum(axis=1) + 1e-9
    values[0, :3], values[0, 3:] = (2.0**60, 1.0, -(2.0**60)), 0.0  # in float64 this is 0, not 1
    cells = np.repeat(np.arange(OUTPUTS), INPUTS)
    total, magnitude = _summed(cells, values.reshape(-1), (OUTPUTS, 1, 1))
    for target in (numbers(1, OUTPUTS, 1, 1), gain * total):
        found = _difference(target, affine(np.zeros(OUTPUTS), gain), total, magnitude)
        for row in range(OUTPUTS):
            wanted = abs(Fraction(gain) * exact(values[row]) - Fraction(float(target[row, 0, 0])))
            assert wanted <= Fraction(float(found[row, 0, 0]))


@pytest.mark.parametrize("gain", [1.0, 0.1])
def test_errors_of_biases_are_no_less_than_those_of_exact_sums(gain: float) -> None:
    products, own = numbers(0, OUTPUTS, INPUTS), numbers(1, OUTPUTS).astype(np.float32)
    products[:, -1] = -products[:, :-1].sum(axis=1) - own
    products[0, :3], products[0, 3:] = (2.0**60, 1.0, -(2.0**60)), 0.0
    row, tap = np.repeat(np.arange(OUTPUTS), INPUTS), np.zeros(OUTPUTS * INPUTS, np.int64)
    bias = gain * numbers(2, OUTPUTS) * 1e-9
    target = layer(np.ones((OUTPUTS, INPUTS)), bias)
    found = _constants(target, affine(own.astype(np.float64), gain), row, tap, products.reshape(-1), OUTPUTS)
    for output in range(OUTPUTS):
        total = exact(products[output]) + Fraction(float(own[output]))
        wanted = abs(Fraction(gain) * total - Fraction(float(bias[output])))
        assert wanted <= Fraction(float(found[output]))
