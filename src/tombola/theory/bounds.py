"""What the theorems ask for: candidates, width factors, redraws, tolerances. Formulas, nothing drawn.

The theorems' constants C are not given in the papers: each is a parameter here, by default `ONE_BIT`, the
least that any could be, for n candidates have 2^n subsets. `tombola.theory.monte_carlo` measures what is
needed in truth.

>>> subset_sum_candidates(tolerance=0.01, failure=0.05), practical_candidates(tolerance=0.01)
(7, 15)

Papers: Lueker 1998 (doi:10.1002/(SICI)1098-2418(199801)12:1<51::AID-RSA3>3.0.CO;2-S); A, Chijiwa et al. 2021;
B, Gadhikar et al. 2023.
"""

from __future__ import annotations

import math

import numpy as np

from tombola.errors import ArgumentError
from tombola.source.density import check_density
from tombola.theory.plan import LayerPlan
from tombola.theory.target import TargetLayer

ONE_BIT = 1 / math.log(2)
"""C where each candidate halves the error: 1 / log 2."""
_MOST = 1e300


def subset_sum_candidates(
    tolerance: float,
    failure: float,
    density: float = 1.0,
    *,
    problems: float = 1,
    constant: float = ONE_BIT,
) -> int:
    """n = ⌈C f(p) log(1 / min(η, δ/N))⌉: candidates for which N subset sums all succeed.

    Lueker 1998, in the form in which Pensia et al. 2020 use it: of n candidates uniform on
    [-1, 1] some come within η of every target in [-1/2, 1/2], but for a probability of δ. `tolerance` is η,
    `failure` δ, `problems` N (a union bound), `constant` C. `density` p: each candidate is usable with that
    probability only, and f is `width_factor` (paper B, theorem 2.4).

    Raises ArgumentError for numbers out of range.
    """
    check_range("tolerance", tolerance, math.inf)
    check_range("failure", failure, 1.0)
    check_range("constant", constant, math.inf)
    if not 1 <= problems < math.inf:
        raise ArgumentError(f"problems must be a finite number of at least 1, got {problems}")
    # Not log(δ/N), which may be 0 in float64 where log δ and log N are nothing special.
    wanted = max(0.0, -math.log(tolerance), math.log(problems) - math.log(failure))
    return _whole("candidates", constant * width_factor(density) * wanted)


def practical_candidates(tolerance: float, density: float = 1.0) -> int:
    """How many neurons `construct` reserves for a subset sum: `plan.LayerPlan`, at a gain of 1.

    Enough for nearly all sums at tolerances that float32 weights are worth; more are added where one fails.
    Raises ArgumentError for numbers out of range.
    """
    check_range("tolerance", tolerance, math.inf)
    check_density(density)
    one = TargetLayer(np.ones((1, 1, 1)), np.zeros(1), relu=False)
    try:
        return LayerPlan(one, gain=1.0, tolerance=tolerance, sides=1).carriers(density)
    except OverflowError:
        raise ArgumentError(f"a density of {density:g} needs more neurons than there are numbers") from None


def sparsity_factor(density: float) -> float:
    """1 / log(1 / (1 - p)): by what paper B's theorems 2.4 and 2.5 multiply widths where an edge lives with
    probability p. 0 for p = 1. Raises ArgumentError for a density outside (0, 1].
    """
    check_density(density)
    return 0.0 if density == 1 else -1 / math.log1p(-density)


def width_factor(density: float) -> float:
    """The greater of `sparsity_factor` and 1: no sparse source does with less than a dense one, which the
    formula says of p > 1 - 1/e.
    """
    return max(1.0, sparsity_factor(density))


def redraws_needed(tolerance: float, failure: float, *, problems: float = 1) -> int:
    """R = ⌈log(δ/N) / log(1 - η/4)⌉, at most ⌈4 log(N/δ) / η⌉: redraws for which N weights all succeed.

    Paper A's approximation theorem: at constant width, an a ≥ max |w| - η/2 given, a uniform u has |u a - w|
    ≤ η with probability at least η/4 (the worst is the greatest w, for u ends at 1); the first such a takes
    as long. `tolerance` is η in units of the greatest weight, `failure` δ, `problems` N.

    Raises ArgumentError for numbers out of range.
    """
    check_range("tolerance", tolerance, 1.0)
    check_range("failure", failure, 1.0)
    if not 1 <= problems < math.inf:
        raise ArgumentError(f"problems must be a finite number of at least 1, got {problems}")
    wanted = math.log(problems) - math.log(failure)
    rate = -math.log1p(-tolerance / 4)
    return _whole("redraws", wanted / rate if rate > 0 else math.inf)


def least_width(inputs: int, density: float, failure: float) -> int:
    """The least width at which all `inputs` have a live edge into the layer with probability 1 - δ.

    n ≥ log(1 / (1 - (1 - δ)^(1/d))) / log(1 / (1 - p)), for d inputs: (1 - (1 - p)^n)^d ≥ 1 - δ. Paper B's
    lower bound: a target that depends on every input cannot be had from a source with one hidden
    layer that is narrower. It needs no constant. 1 for p = 1.

    Raises ArgumentError for numbers out of range.
    """
    check_density(density)
    check_range("failure", failure, 1.0)
    if inputs < 1:
        raise ArgumentError(f"inputs must be at least 1, got {inputs}")
    without = -math.expm1(math.log1p(-failure) / inputs)  # what one input may be without an edge
    if not without > 0:
        raise ArgumentError(f"failure {failure} is too small to be shared by {inputs} inputs in float64")
    return _whole("width", -math.log(without) * sparsity_factor(density))


def _whole(what: str, number: float) -> int:
    """⌈number⌉, at least 1. Raises ArgumentError for one that says no more than "none"."""
    if not number < _MOST:
        raise ArgumentError(f"the {what} needed are more than {_MOST:.0e}, which no network has")
    return max(1, math.ceil(number))


def check_range(what: str, value: float, below: float) -> None:
    """Raise ArgumentError where `value` is not in (0, below)."""
    if not 0 < value < below:
        most = "finite and above 0" if below == math.inf else f"in (0, {below:g})"
        raise ArgumentError(f"{what} must be {most}, got {value}")
