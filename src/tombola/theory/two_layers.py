"""Two source layers for each layer of the target.

Pensia et al., "Optimal lottery tickets via subset sum: logarithmic over-parameterization is sufficient",
NeurIPS 2020; Orseau et al., "Logarithmic pruning is all you need", NeurIPS 2020; with Erdős–Rényi sources as
in paper B (Gadhikar et al. 2023), theorem 2.5.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tombola.mask import BoolArray
from tombola.source.density import AnyRule
from tombola.theory.attempt import Attempt, density_at, settle_blocks, used_neurons
from tombola.theory.carriers import Carriers, Univariate
from tombola.theory.plan import LayerPlan, TooNarrowError
from tombola.theory.rows import Rows


def two_layers(
    plans: Sequence[LayerPlan], seed: int, density: float, rule: AnyRule, factor: float
) -> Attempt:
    """The target with a layer of univariate neurons before each of its layers: w_ji ≈ Σ_k u_jk a_k.

    Raises TooNarrowError where widths of `factor` times the expected ones will not do.
    """

    def width(plan: LayerPlan, first: float, second: float) -> int:
        return plan.width(first, second, factor)

    attempt, places = settle_blocks(plans, width, seed, density, rule)
    for plan, place in zip(plans, places, strict=True):
        targets, biases = plan.layer.weight / plan.gain, plan.layer.bias / plan.gain
        rows = Rows(*attempt.weight(place + 2), *attempt.bias(place + 2), targets, biases, plan.tolerance)
        if (failed := build_block(attempt, plan, place, rows)).any():
            raise TooNarrowError(
                f"{np.count_nonzero(failed)} rows have a subset sum without a solution", rows.weights.shape[1]
            )
        attempt.keep(place + 2, rows.kept, rows.kept_biases)
    return attempt


def build_block(attempt: Attempt, plan: LayerPlan, place: int, rows: Rows) -> BoolArray:
    """Make the neurons of the module at `place` univariate, or constants, and choose what `rows`, of the
    affine module after it, keep of them. Returns which rows failed. Raises TooNarrowError.
    """
    weights, alive = attempt.weight(place)
    univariate = Univariate(weights[:, :, 0], alive[:, :, 0], *attempt.bias(place), plan.sides)
    second = density_at(attempt, place + 2)
    carriers = univariate.take(plan.carriers(second), plan.constants(second))
    if carriers is None:
        raise TooNarrowError("some input has too few neurons", len(weights))
    unsolved = rows.solve(carriers, range(len(carriers.members)), plan.candidates)
    carriers, failed, retries = _retry(rows, univariate, carriers, unsolved, plan.candidates)
    attempt.retries += retries
    failed |= solve_biases(plan, rows, carriers)
    attempt.keep(place, *univariate.kept(carriers, used_neurons(rows.kept[~failed])))
    return failed


def solve_biases(plan: LayerPlan, rows: Rows, carriers: Carriers) -> BoolArray:
    """Choose what comes to the biases; returns which rows failed. Raises ArgumentError where no source would
    do.
    """
    if not rows.target_biases.any():
        return np.zeros(len(rows.weights), bool)
    failed = rows.solve_biases(carriers, plan.safe_taps(), plan.candidates)
    plan.check_biases(failed)
    return failed


def _retry(
    rows: Rows, univariate: Univariate, carriers: Carriers, unsolved: BoolArray, candidates: int
) -> tuple[Carriers, BoolArray, int]:
    """Give the groups of unsolved problems spare neurons, one after the other, until all are solved or no
    neuron can help; the carriers then, the rows that have failed, and how many problems were tried again.
    """
    group, row, tap = np.nonzero(unsolved)
    retries = 0
    while len(group):
        wider = univariate.more(carriers, np.unique(group).tolist())
        if wider is None:
            break
        carriers, retries = wider, retries + len(group)
        # With all of the live edges that there are now.
        again = rows.solve_again(carriers, group, row, tap, carriers.members.shape[1] + candidates)
        group, row, tap = group[again], row[again], tap[again]
    failed = np.zeros(len(rows.weights), bool)
    failed[row] = True
    return carriers, failed, retries
