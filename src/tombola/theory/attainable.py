"""The least tolerances that a construction can reach, however wide its source is.

Subset sums are of `rows.MOST` candidates at most, and redraws end after `redraw.GENERATIONS`. Below what
these can do one restart after the other would fail, slowly, so that is refused before anything is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tombola.errors import ArgumentError
from tombola.theory.carriers import LEAST
from tombola.theory.plan import LayerPlan
from tombola.theory.redraw import GENERATIONS
from tombola.theory.rows import MOST


def check_attainable(plans: Sequence[LayerPlan], construction: str, error: float | None) -> None:
    """Raise ArgumentError where a layer's tolerance is below the least that the construction can reach;
    `error` is what asked for the tolerances, None where they were given themselves.
    """
    least = [least_tolerance(plans, number, construction) for number in range(len(plans))]
    met = [plan.tolerance * plan.gain for plan in plans]
    ratios = [limit / each if each else math.inf for limit, each in zip(least, met, strict=True)]
    worst = int(np.argmax(ratios))
    if ratios[worst] <= 1.0:
        return
    means = f"{GENERATIONS} redraws" if construction == "redraw" else f"sums of {MOST} candidates"
    limit = (
        f"{means} reach no less than {_up(least[worst]):g} in all of layer {worst}, however wide the source"
    )
    wanted = plans[worst].tolerance * plans[worst].gain
    if error is None:
        raise ArgumentError(
            f"tolerance {wanted:.3g} is out of reach of {construction}: {limit}; expected at least "
            f"{_up(max(least)):g}"
        )
    raise ArgumentError(
        f"error {error:g} is out of reach of {construction}: it asks for a tolerance of {wanted:.3g}, and "
        f"{limit}; expected an error of at least {_up(error * ratios[worst]):g}"
    )


def least_tolerance(plans: Sequence[LayerPlan], number: int, construction: str) -> float:
    """The least tolerance, in the target's units, at which a layer's weights can be expected to be met."""
    plan = plans[number]
    weights, biases = np.abs(plan.layer.weight), np.abs(plan.layer.bias)
    # Those within the tolerance of 0 are met by nothing at all.
    met = plan.tolerance * plan.gain
    problems = plan.sides * int((weights > met).sum()) + int((biases > met).sum())
    if not problems:
        return 0.0
    if construction == "redraw":
        # A draw of u on [-1, 1] comes within η with probability η at least, for the factor is at most 1. Of
        # N weights half a one is expected to be left after R draws where N (1 - η)^R = 1/2.
        return plan.gain * math.log(2 * problems) / GENERATIONS
    copies = construction == "one_extra_layer"
    if copies and number < len(plans) - 1:  # a row that fails is left out, one copy of many
        problems = math.ceil(problems / plan.layer.outputs)
    # The sums of the subsets of n candidates lie about half of their total nearly as a normal distribution of
    # variance n E[c²] / 4; so at best λ = 2^n 2η / √(2π variance) of them come within η of a target, and λ
    # exp(-z²/2) where it is z deviations off. z itself is about normal, so that P(λ exp(-z²/2) < 1) = erfc(√
    # log λ) < 1/λ: half of one of N sums is expected to fail at most where λ = 2N.
    square = 1 / 3 if copies and number else (1 + LEAST + LEAST**2) / 9  # of u alone, or of u a
    deviation = math.sqrt(MOST * square / 4)
    return plan.gain * problems * math.sqrt(2 * math.pi) * deviation / 2.0**MOST


def _up(value: float) -> float:
    """Rounded up to two digits or a little more, so that what is named will pass."""
    return float(f"{1.05 * value:.2g}")
