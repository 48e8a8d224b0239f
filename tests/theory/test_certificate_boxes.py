"""Certificates over other boxes of inputs, and for each output."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from construction_helpers import EVERY, TARGETS, made, pairs

from tombola.errors import ArgumentError
from tombola.theory import certify, construct, model_of

every_construction = pytest.mark.parametrize("construction", EVERY)


@every_construction
def test_certificates_of_other_boxes(construction: str) -> None:
    target, ticket = TARGETS["inputs above 0"].build(), made("inputs above 0", construction).ticket
    wide, narrow = certify(target, ticket, (-1, 1)), certify(target, ticket, (0.0, 0.5))
    # Negative inputs were not asked for: the effective weights there are 0.
    assert wide.error > 1 > certify(target, ticket, (0, 1)).error > narrow.error
    assert wide.parameter_error > 0.1 > narrow.parameter_error
    point = certify(target, ticket, (0.25, 0.25))
    x = torch.full((1, 5), 0.25, dtype=torch.float64)
    with torch.no_grad():
        observed = (target(x) - model_of(ticket).double()(x)).abs().amax()
    assert float(observed) <= point.error


def test_bounds_for_every_pixel() -> None:
    target, ticket = TARGETS["odd kernels"].build(), made("odd kernels", "two_layers").ticket
    low, high = -np.ones((1, 4, 3)), np.ones((1, 4, 3))
    wanted = certify(target, ticket, input_shape=(1, 4, 3))
    assert certify(target, ticket, (low, high), input_shape=(1, 4, 3)) == wanted
    high[0, 2, 1] = -2.0
    with pytest.raises(ArgumentError, match="upper bound below"):
        certify(target, ticket, (low, high), input_shape=(1, 4, 3))


def test_outputs_have_bounds_of_their_own() -> None:
    arrays = pairs([4, 3])
    weight, bias = arrays[0]
    assert bias is not None
    ticket = construct(arrays).ticket
    shown = certify(arrays, ticket)
    assert len(shown.output_errors) == 3
    changed = certify([(weight, bias + np.array([0.0, 0.5, 0.0]))], ticket)
    assert changed.output_errors[0] == shown.output_errors[0]
    assert changed.output_errors[1] == pytest.approx(0.5, abs=0.05)
