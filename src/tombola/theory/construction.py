"""construct: a strong ticket that equals a given network, up to a proven error, with nothing trained."""

from __future__ import annotations

import json
import math
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tombola.errors import ArgumentError, TicketError, unknown
from tombola.mask import Mask
from tombola.rng import check_seed
from tombola.source.density import AnyRule, check_density, rule_name
from tombola.theory.attainable import check_attainable
from tombola.theory.attempt import Attempt
from tombola.theory.certificate import bound, read_box
from tombola.theory.effective import read_blocks
from tombola.theory.layout import KEY, DrawnNetwork, build, read_modules
from tombola.theory.one_extra_layer import one_extra_layer
from tombola.theory.plan import FEW, LayerPlan, TooNarrowError, plan_layers
from tombola.theory.redraw import redraw
from tombola.theory.target import TargetLayer, read_target
from tombola.theory.tolerances import tolerances_for
from tombola.theory.two_layers import two_layers
from tombola.ticket.ticket import Ticket

Build = Callable[[Sequence[LayerPlan], int, float, AnyRule, float], Attempt]
CONSTRUCTIONS: dict[str, Build] = {
    "two_layers": two_layers,
    "one_extra_layer": one_extra_layer,
    "redraw": redraw,
}

_WIDER = 1.3
# So many times wider than that, and than expected, is told to be wide enough.
_FURTHER = 3
_RESTARTS = 8
_WIDEST = 1e6
_TIGHTENINGS = 12


@dataclass(frozen=True)
class Construction:
    """A ticket that approximates a target, and how well.

    `parameter_error`: the greatest difference of an effective weight or bias from the target's, in the
    target's units. `error_bound`: sup |f_target - f_ticket| over the box is at most this. `source_weights`:
    entries of all random tensors; `kept_weights`: those that the ticket keeps. `retries`: how many subset
    sums were tried again with a fresh neuron more; `restarts`: how often the source was too narrow all the
    same, and was drawn again.
    """

    ticket: Ticket
    parameter_error: float
    error_bound: float
    source_weights: int
    kept_weights: int
    retries: int
    restarts: int

    def model(self) -> Any:
        """The ticket's network as a plain torch model, holding its weights."""
        return model_of(self.ticket)


def construct(
    target: Any,
    seed: int = 0,
    density: float = 1.0,
    tolerance: float = 0.01,
    construction: str = "two_layers",
    *,
    rule: AnyRule = "uniform",
    error: float | None = None,
    box: tuple[npt.ArrayLike, npt.ArrayLike] = (-1.0, 1.0),
    input_shape: Sequence[int] | None = None,
    width_factor: float = 1.0,
    max_restarts: int = _RESTARTS,
) -> Construction:
    """A ticket of a random network, drawn from `seed`, whose function is that of `target`.

    Its `error_bound` is for the two as functions of real numbers. Evaluating them in float32 adds rounding,
    of about 1e-6 of the greatest sums of |weight · input| within a layer.

    Parameters
    ----------
    target : [(weight, bias), …] of arrays with ReLUs between them, or a `Sequential` of Linear, Conv2d,
        Flatten and ReLU; weights of any size (each layer has a gain; for `one_extra_layer` up to about 1e6
        before a layer with biases, whose constants pass that gain).
    density, rule : of the Erdős–Rényi source, as in `Source`.
    tolerance : how far each weight and bias may be from the target's, in the target's units.
    construction : `two_layers` for each of the target's (Pensia et al. 2020), `one_extra_layer` in all
        (Burkholz 2022), or `redraw`, two layers of constant width with redrawn weights (Chijiwa et al. 2021).
    error : how far the outputs may be from the target's over the box; chooses the tolerances in the place of
        `tolerance`.
    box : (lower, upper) bounds of the inputs, numbers or arrays.
    input_shape : (channels, height, width) of an input, which a convolution with padding and a bias needs.
    width_factor : how much wider than expected to begin with. The source is drawn again, wider, where a
        subset sum has no solution in it, `max_restarts` times at most.

    Raises ArgumentError for a target that it is not for, an option out of range, a tolerance or an error that
    no width can reach, or a source too narrow at last.
    """
    layers = read_target(target, input_shape)
    check_seed(seed)
    density = check_density(density)  # a float: metadata hold no numpy number
    if not isinstance(construction, str) or construction not in CONSTRUCTIONS:
        raise unknown("construction", construction, CONSTRUCTIONS)
    sides = read_box(box, layers[0])
    _positive("tolerance", tolerance)
    _positive("width_factor", width_factor)
    if width_factor > _WIDEST:
        raise ArgumentError(f"width_factor must be at most {_WIDEST:g}, got {width_factor:g}")
    whole = isinstance(max_restarts, numbers.Integral) and not isinstance(max_restarts, bool)
    if not whole or max_restarts < 0:
        raise ArgumentError(f"max_restarts must be an integer of at least 0, got {max_restarts!r}")
    if error is None:
        wanted = [float(tolerance)] * len(layers)
        return _construct(
            layers, wanted, sides, construction, seed, density, rule, width_factor, max_restarts, None
        )
    _positive("error", error)
    share = float(error)
    for _ in range(_TIGHTENINGS):
        wanted = tolerances_for(layers, share, sides)
        made = _construct(
            layers, wanted, sides, construction, seed, density, rule, width_factor, max_restarts, float(error)
        )
        if made.error_bound <= error:
            return made
        share *= 0.9 * error / made.error_bound
    raise ArgumentError(
        f"no tolerance brings the error over the box down to {error:g}: got {made.error_bound:g}"
    )


def model_of(ticket: Ticket) -> Any:
    """The network of a constructed ticket as a plain torch model. Raises TicketError for any other ticket."""
    modules = read_modules(ticket.metadata.get(KEY, ""))
    # Before anything is built of a size that a file may claim at will.
    claimed = {f"{n}.weight": module.shape for n, module in enumerate(modules) if module.kind == "affine"}
    shapes = ticket.mask.shapes
    for name, shape in claimed.items():
        if shapes.get(name) != shape:
            raise TicketError(f"the ticket's tensor {name!r} is not what its metadata describe")
    return ticket.apply(build(modules))


def _construct(
    layers: Sequence[TargetLayer],
    tolerances: Sequence[float],
    sides: tuple[np.ndarray, np.ndarray],
    construction: str,
    seed: int,
    density: float,
    rule: AnyRule,
    factor: float,
    max_restarts: int,
    error: float | None,
) -> Construction:
    plans = plan_layers(layers, tolerances, nonnegative=bool((sides[0] >= 0).all()))
    check_attainable(plans, construction, error)
    why = TooNarrowError("", 0)
    for restarts in range(max_restarts + 1):
        try:
            attempt = CONSTRUCTIONS[construction](plans, seed, density, rule, factor * _WIDER**restarts)
        except TooNarrowError as reason:
            why = reason
            continue
        return _finish(attempt, layers, sides, construction, density, rule, restarts)
    last = factor * _WIDER**max_restarts
    wider = max(last, 1.0) * _WIDER**_FURTHER
    neurons = FEW + math.ceil(max(0, why.neurons - FEW) * wider / last)
    raise ArgumentError(
        f"the source is too narrow ({why}): {max_restarts} restarts came to {last:.3g} times the expected "
        f"widths; a width_factor of {wider:.3g}, for about {neurons} neurons in the place of these, a "
        "greater density or a greater tolerance may do"
    )


def _finish(
    attempt: Attempt,
    layers: Sequence[TargetLayer],
    sides: tuple[np.ndarray, np.ndarray],
    construction: str,
    density: float,
    rule: AnyRule,
    restarts: int,
) -> Construction:
    network = DrawnNetwork(attempt.recipe, attempt.generations)
    metadata = {
        KEY: attempt.layout.to_json(),
        "construction method": construction,
        "source density": json.dumps(density),
        "rule": rule_name(rule),
    }
    ticket = Ticket.from_mask(network, Mask(attempt.masks), metadata=metadata)
    certificate = bound(layers, read_blocks(ticket, layers), sides)
    return Construction(
        ticket,
        certificate.parameter_error,
        certificate.error,
        ticket.mask.total,
        ticket.mask.kept,
        attempt.retries,
        restarts,
    )


def _positive(name: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 < value < float("inf"):
        raise ArgumentError(f"{name} must be a finite number greater than 0, got {value!r}")
