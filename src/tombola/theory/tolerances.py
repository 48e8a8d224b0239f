"""From an error of the whole function to a tolerance for each layer's weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tombola.errors import ArgumentError
from tombola.theory.certificate import bound
from tombola.theory.effective import Block
from tombola.theory.target import Floats, TargetLayer


def tolerances_for(layers: Sequence[TargetLayer], error: float, box: tuple[Floats, Floats]) -> list[float]:
    """A tolerance for each layer such that weights off by it give no more than `error` over the box.

    Each layer gets an equal share of the error, less where errors are amplified on their way out: what a
    small error in that layer alone comes to is measured by propagating it (paper B has a closed form, its
    theorem 2.4, that is far below). Raises ArgumentError where bounds are beyond float64.
    """
    tolerances = []
    for wrong in range(len(layers)):
        blocks = [_off_by(layer, _PROBE if number == wrong else 0.0) for number, layer in enumerate(layers)]
        amplified = bound(layers, blocks, box).error / _PROBE
        if not math.isfinite(amplified):
            raise ArgumentError(
                "bounds over the box come to more than float64 holds: box or target too great"
            )
        tolerances.append(error / (len(layers) * max(amplified, _PROBE)))
    blocks = [_off_by(layer, tolerance) for layer, tolerance in zip(layers, tolerances, strict=True)]
    # What the errors of one layer do to those of another is of second order; here it is taken in.
    together = bound(layers, blocks, box).error
    return [tolerance * (min(1.0, error / together) if together else 1.0) for tolerance in tolerances]


_PROBE = 1e-6


def _off_by(layer: TargetLayer, error: float) -> Block:
    errors = np.full(layer.weight.shape, error)
    return Block(True, 1, layer.outputs, (errors, errors), np.full(layer.outputs, error))
