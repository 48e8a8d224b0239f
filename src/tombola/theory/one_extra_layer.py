"""One source layer more than the target has.

Burkholz, "Most activation functions can win the lottery without excessive depth", NeurIPS 2022; in
Erdős–Rényi sources paper B (Gadhikar et al. 2023), theorem 2.4.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from tombola.mask import BoolArray
from tombola.source.density import AnyRule
from tombola.theory.attempt import Attempt, density_at, like, pointwise, settle
from tombola.theory.carriers import LEAST_CONSTANT, Carriers, Ints
from tombola.theory.layout import Layout, Module
from tombola.theory.plan import LayerPlan, TooNarrowError
from tombola.theory.rows import Rows
from tombola.theory.target import Floats
from tombola.theory.two_layers import build_block, solve_biases

_SPARE_ROWS = 1.15
# No gain is raised so far that its layer's tolerance, in units of the gain, falls below this.
_FINEST = 2.0**-14


def one_extra_layer(
    plans: Sequence[LayerPlan], seed: int, density: float, rule: AnyRule, factor: float
) -> Attempt:
    """Univariate neurons before the first layer alone; then each neuron of the target is built many times
    over, and w_ji ≈ the sum of some live edges from the copies of i. The last layer is built once.

    Raises TooNarrowError where widths of `factor` times the expected ones will not do.
    """

    plans = [_audible(plan, plans[number + 1 :]) for number, plan in enumerate(plans)]
    start = int(plans[0].layer.flatten)

    def make(density_of: Callable[[int], float]) -> Layout:
        layout = Layout()
        if start:
            layout.add(Module("flatten"))
        first = plans[0].width(density_of(start), density_of(start + 2), factor)
        layout.add(pointwise(plans[0].layer, first))
        layout.add(Module("relu"))
        width = first
        for number, plan in enumerate(plans):
            if plan.layer.flatten and number:
                width *= plan.layer.inputs // plans[number - 1].layer.outputs
                layout.add(Module("flatten"))
            place = len(layout.modules)
            rows = plan.layer.outputs
            copies = 1
            if number < len(plans) - 1:
                following = place + 2 + plan.layer.relu + plans[number + 1].layer.flatten
                copies, constants = _counts(
                    plan, plans[number + 1], density_of(place), density_of(following), factor
                )
                rows = copies * rows + constants
            layout.add(like(plan.layer, width, rows, copies=copies))
            layout.add_gain(plan.gain)
            if plan.layer.relu:
                layout.add(Module("relu"))
            width = rows
        return layout

    attempt = settle(make, seed, density, rule)
    place, carriers = start + 2, None
    for number, plan in enumerate(plans):
        place += plan.layer.flatten and number > 0
        following = plans[number + 1] if number < len(plans) - 1 else None
        carriers = _build_layer(attempt, plan, following, place, carriers)
        place += 2 + plan.layer.relu
    return attempt


def _audible(plan: LayerPlan, later: Sequence[LayerPlan]) -> LayerPlan:
    """The plan with a gain near 1, as far as its tolerance allows, where the next layer needs constants: this
    layer's gain multiplies them, and a small one takes very many.
    """
    if not later or not later[0].layer.bias.any():
        return plan
    gain = float(np.float32(max(plan.gain, min(1.0, plan.tolerance * plan.gain / _FINEST))))
    return replace(plan, gain=gain, tolerance=plan.tolerance * plan.gain / gain)


def _counts(
    plan: LayerPlan, following: LayerPlan, density: float, next_density: float, factor: float
) -> tuple[int, int]:
    """How many copies of each neuron the next layer needs, and how many constants."""
    # A copy is of no use if one of its subset sums fails: fewer may do with a margin of two deviations.
    wanted = following.candidates + 4
    spread = 2 * math.sqrt(wanted * (1 - next_density))
    copies = math.ceil(factor * _SPARE_ROWS * (wanted + spread) / next_density)
    # Of the biases, drawn from U(-1, 1), too few are great enough, and some not alive.
    drawn = _constants(plan, following, next_density) / (density * (1 - LEAST_CONSTANT) / 2)
    return copies, math.ceil(factor * _SPARE_ROWS * drawn)


def _constants(plan: LayerPlan, following: LayerPlan, next_density: float) -> int:
    """How many constants the next layer's biases need: this layer's gain makes them small."""
    return math.ceil(following.constants(next_density) * max(1.0, 2.0 / plan.gain))


def _build_layer(
    attempt: Attempt, plan: LayerPlan, following: LayerPlan | None, place: int, carriers: Carriers | None
) -> Carriers | None:
    """The rows of one layer of the target, from `carriers` (None: the first, with its univariate layer).
    Returns what the next layer can draw on. Raises TooNarrowError.
    """
    layer, module = plan.layer, attempt.layout.modules[place]
    targets = np.repeat(layer.weight / plan.gain, module.copies, axis=0)
    biases = np.repeat(layer.bias / plan.gain, module.copies)
    built = len(targets)
    values, alive = attempt.weight(place)
    own, own_alive = attempt.bias(place)
    rows = Rows(
        values[:built], alive[:built], own[:built], own_alive[:built], targets, biases, plan.tolerance
    )
    if carriers is None:
        failed = build_block(attempt, plan, place - 2, rows)
    else:
        unsolved = rows.solve(carriers, range(len(carriers.members)), plan.candidates)
        failed = np.asarray(unsolved.any(axis=(0, 2))) | solve_biases(plan, rows, carriers)
    if following is None and failed.any():
        raise TooNarrowError(
            f"{np.count_nonzero(failed)} outputs have a subset sum without a solution", values.shape[1]
        )
    # A copy with a weight that is missing is left out as a whole.
    rows.kept[failed], rows.kept_biases[failed] = False, False
    constants = np.flatnonzero(own_alive[built:] & (own[built:] >= LEAST_CONSTANT)) + built
    wanted = 0
    if following is not None:
        wanted = _constants(plan, following, density_at(attempt, _next_affine(attempt, place)))
    if len(constants) < wanted:
        raise TooNarrowError(
            f"{len(constants)} biases are great enough to be constants, {wanted} are needed", len(values)
        )
    constants = constants[:wanted]
    kept, kept_biases = np.zeros(values.shape, bool), np.zeros(own.shape, bool)
    kept[:built], kept_biases[:built] = rows.kept, rows.kept_biases
    kept_biases[constants] = True
    attempt.keep(place, kept, kept_biases)
    if following is None:
        return None
    return _copies(plan, following, failed, constants, plan.gain * own[constants].astype(np.float64))


def _copies(
    plan: LayerPlan, following: LayerPlan, failed: BoolArray, constants: Ints, values: Floats
) -> Carriers:
    """The good copies of every neuron as carriers of the next layer's inputs."""
    neurons = plan.layer.outputs
    members = np.arange(len(failed)).reshape(neurons, -1)
    members = np.where(failed.reshape(members.shape), -1, members)
    if following.layer.flatten:
        pixels = following.layer.inputs // neurons
        spread = members[:, None, :] * pixels + np.arange(pixels)[:, None]
        members = np.where(members[:, None, :] < 0, -1, spread).reshape(neurons * pixels, -1)
        # A constant is one at every pixel; the first will do.
        constants = constants * pixels
    return Carriers(members, (members >= 0).astype(np.float64), constants, values)


def _next_affine(attempt: Attempt, place: int) -> int:
    modules = attempt.layout.modules
    return next(later for later in range(place + 1, len(modules)) if modules[later].kind == "affine")
