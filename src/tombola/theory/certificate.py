"""Certificate: a bound on sup |f_target - f_ticket| over a box, from a ticket's weights alone.

Nothing that the construction has noted is believed but which module is which: the effective weights are
summed up again from the weights that the ticket rebuilds, and bounds are carried from layer to layer
(docs/theory.md). Every sum is float64; what rounding may hide is added, so the bound holds for the two
networks as functions of real numbers.
"""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tombola.errors import ArgumentError, TicketError
from tombola.theory.effective import Block, read_blocks
from tombola.theory.target import Floats, TargetLayer, read_target
from tombola.ticket.ticket import Ticket

# A sum of n products is off by at most (n + 2) 2^-53 times the sum of their magnitudes, and none here has
# 2^31 of them.
_SLACK = 1.0 + 2.0**-20


@dataclass(frozen=True)
class Certificate:
    """What was shown: over the box, |f_target - f_ticket| <= `error` in every output.

    `parameter_error`: the greatest difference of an effective weight or bias from the target's.
    `output_errors`: the bound of each output, or channel, by itself.
    """

    error: float
    parameter_error: float
    output_errors: tuple[float, ...]


def certify(
    target: Any,
    ticket: Ticket,
    box: tuple[npt.ArrayLike, npt.ArrayLike] = (-1.0, 1.0),
    input_shape: Sequence[int] | None = None,
) -> Certificate:
    """The certificate of a ticket that `construct` has made for `target`, over inputs between `box`'s lower
    and upper bounds (numbers, or arrays of an input's shape).

    Raises TicketError where the ticket is no construction of this target's architecture, ArgumentError for a
    box or a target that cannot be.
    """
    layers = read_target(target, input_shape)
    _check_ticket(ticket)
    return bound(layers, read_blocks(ticket, layers), read_box(box, layers[0]))


def check(
    target: Any,
    ticket: Ticket,
    error: float,
    box: tuple[npt.ArrayLike, npt.ArrayLike] = (-1.0, 1.0),
    input_shape: Sequence[int] | None = None,
) -> None:
    """Confirm that the ticket's network is within `error` of the target over the box; it needs nothing else.

    Raises TicketError where that cannot be shown, with the bound that can; ArgumentError where `error` is no
    number, and what `certify` raises.
    """
    if isinstance(error, bool) or not isinstance(error, numbers.Real):
        raise ArgumentError(f"error must be a number, got {error!r:.80}")
    _check_ticket(ticket)
    ticket.verify()
    shown = certify(target, ticket, box, input_shape).error
    if not shown <= error:
        raise TicketError(f"the error over the box is shown to be at most {shown:g}, not {error:g}")


def _check_ticket(ticket: Ticket) -> None:
    if not isinstance(ticket, Ticket):
        raise ArgumentError(f"ticket must be a Ticket, got {ticket!r:.80}; Ticket.load reads a file")


def read_box(box: tuple[npt.ArrayLike, npt.ArrayLike], first: TargetLayer) -> tuple[Floats, Floats]:
    """Lower and upper bounds of each input, or of each channel. Raises ArgumentError for a box that is
    none.
    """
    try:
        given = [np.asarray(side) for side in box]
        if any(side.dtype.kind not in "biuf" for side in given):  # of complex numbers numpy would drop a part
            raise TypeError("no real numbers")
        lower, upper = (side.astype(np.float64) for side in given)
    except (TypeError, ValueError, RuntimeError):  # torch's own for a tensor with a gradient
        raise ArgumentError(
            f"a box is (lower, upper), numbers or arrays, got {box!r:.80}".replace("\n", " ")
        ) from None
    if not (np.isfinite(lower).all() and np.isfinite(upper).all()):
        raise ArgumentError("the box must have finite bounds")
    try:
        # Pixel by pixel, before each channel has one bound for all of its own.
        least, greatest = np.broadcast_arrays(_per_pixel(lower, first), _per_pixel(upper, first))
    except ValueError:
        pixels = ("height", "width") if first.size is None else first.size
        whole = "" if first.convolution is None else f" or ({first.inputs}, {pixels[0]}, {pixels[1]})"
        raise ArgumentError(
            f"the bounds of a box must be numbers, or one for each of {first.inputs} inputs, of shape "
            f"({first.inputs},){whole}, got shapes {lower.shape} and {upper.shape}"
        ) from None
    if (greatest < least).any():
        raise ArgumentError("the box has an upper bound below its lower one")
    return least.min(axis=(1, 2)), greatest.max(axis=(1, 2))


def _per_pixel(side: Floats, first: TargetLayer) -> Floats:
    """(inputs, height, width), where one pixel may stand for all. Raises ValueError for another shape."""
    if first.convolution is None:
        spread = np.broadcast_to(side.reshape(-1), (first.inputs,))[:, None, None]
    elif side.ndim == 3:
        spread = np.broadcast_to(side, (first.inputs, *(first.size or side.shape[1:])))
    else:
        spread = np.broadcast_to(side, (first.inputs,))[:, None, None]
    if not spread.size:
        raise ValueError("no pixels")
    return spread


def bound(layers: Sequence[TargetLayer], blocks: Sequence[Block], box: tuple[Floats, Floats]) -> Certificate:
    """Carry the bounds through the layers; `blocks` holds what the ticket has for each. Beyond float64
    nothing is shown: the bound is infinite.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return _carried(layers, blocks, box)


def _carried(
    layers: Sequence[TargetLayer], blocks: Sequence[Block], box: tuple[Floats, Floats]
) -> Certificate:
    low, high = box
    # How far what the ticket computes is from the target's values, of each copy of each: here none, yet.
    away = np.zeros((len(low), 1))
    parameter_error = 0.0
    for number, (layer, block) in enumerate(zip(layers, blocks, strict=True)):
        if layer.flatten and number:
            pixels = layer.inputs // len(low)
            low, high, away = (np.repeat(values, pixels, axis=0) for values in (low, high, away))
        if layer.convolution is not None and any(layer.convolution.padding):
            low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)  # what is read at the border is 0
        below_zero = not layers[number - 1].relu if number else bool((low < 0).any())
        parameter_error = max(parameter_error, _greatest(block, below_zero))
        away = _errors(layer, block, low, high, away, below_zero) * _SLACK
        away = np.where(np.isnan(away), np.inf, away)
        low, high = _ranges(layer, low, high)
    return Certificate(float(away.max()), parameter_error, tuple(away.max(axis=1).tolist()))


def _errors(
    layer: TargetLayer, block: Block, low: Floats, high: Floats, away: Floats, below_zero: bool
) -> Floats:
    """How far each copy of each neuron may be from the target's, (outputs, copies). `below_zero`: whether the
    inputs that the ticket computes may be negative.
    """
    most = away.max(axis=1)
    if block.univariate:
        # With weights w + e over the same inputs: |(w + e) x' - w x| <= |w| |x' - x| + |e| |x'|.
        positive, negative = np.maximum(high + most, 0.0), np.maximum(most - low, 0.0) * below_zero
        either = np.maximum(block.errors[0] * positive[:, None], block.errors[1] * negative[:, None])
        wrong = either.sum(axis=(1, 2))
        carried = np.einsum("oit,i->o", np.abs(layer.weight), most)[:, None]
    else:
        # The copies of x_i may be wrong each for itself: |Σ u x'_c - w x| <= Σ |u| |x'_c - x| + |Σ u - w|
        # |x|.
        wrong = (block.errors[0] * np.maximum(np.abs(low), np.abs(high))[:, None]).sum(axis=(1, 2))
        carried = block.carried(away)
    shape = (layer.outputs, block.copies)
    rows = (wrong + block.bias_errors).reshape(shape)
    total: Floats = rows + np.broadcast_to(carried.reshape(layer.outputs, -1), shape)
    return total


def _greatest(block: Block, below_zero: bool) -> float:
    """The greatest error of a weight or bias that is read."""
    read = slice(None) if block.read is None else block.read
    sides = block.errors if below_zero else block.errors[:1]
    return max(float(errors[read].max(initial=0.0)) for errors in (block.bias_errors, *sides))


def _ranges(layer: TargetLayer, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """Between which values each output of the target lies."""
    positive, negative = np.maximum(layer.weight, 0.0), np.minimum(layer.weight, 0.0)
    least = np.einsum("oit,i->o", positive, low) + np.einsum("oit,i->o", negative, high) + layer.bias
    most = np.einsum("oit,i->o", positive, high) + np.einsum("oit,i->o", negative, low) + layer.bias
    margin = (
        np.abs(least) + np.abs(most) + np.einsum("oit,i->o", np.abs(layer.weight), np.maximum(-low, high))
    ) * (_SLACK - 1)
    least, most = least - margin, most + margin
    return (np.maximum(least, 0.0), np.maximum(most, 0.0)) if layer.relu else (least, most)
