"""Tolerances from an error of the whole function: weights off by them keep the error."""

from __future__ import annotations

import numpy as np
import pytest
from construction_helpers import TARGETS, box_of, pairs, sequential
from effective_reference import Rows, interval_bound, plain_layers

from tombola.theory.certificate import read_box
from tombola.theory.target import read_target
from tombola.theory.tolerances import tolerances_for


@pytest.mark.parametrize("error", [1e-3, 0.1, 10.0])
@pytest.mark.parametrize("name", TARGETS)
def test_weights_off_by_the_tolerances_keep_the_error(name: str, error: float) -> None:
    target = TARGETS[name]
    model = target.build()
    layers = read_target(model, target.options.get("input_shape"))
    tolerances = tolerances_for(layers, error, read_box(target.options.get("box", (-1, 1)), layers[0]))
    plain = plain_layers(model)
    rows = [
        Rows(1, layer.weight + off, layer.weight + off, layer.bias + off, None, [True] * len(layer.bias))
        for layer, off in zip(plain, tolerances, strict=True)
    ]
    low, high = (side.numpy().reshape(plain[0].weight.shape[1], -1) for side in box_of(name))
    shown = interval_bound(plain, rows, low.min(axis=1), high.max(axis=1))
    assert shown <= error * (1 + 1e-9)


def test_each_layer_has_an_equal_share() -> None:
    arrays = pairs([6, 8, 8, 3])
    layers = read_target(arrays)
    tolerances = tolerances_for(layers, 1e-4, read_box((-1, 1), layers[0]))
    plain = plain_layers(sequential(arrays))
    for number, off in enumerate(tolerances):
        rows = [
            Rows(1, layer.weight + e, layer.weight + e, layer.bias + e, None, [True] * len(layer.bias))
            for layer, e in zip(plain, (off * (i == number) for i in range(3)), strict=True)
        ]
        assert interval_bound(plain, rows, -np.ones(6), np.ones(6)) == pytest.approx(1e-4 / 3, rel=0.01)
