"""The inner loops of a subset sum: in numpy here, and a choice of these or the compiled ones.

Both give the same bits. Row r of every array belongs to target r.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Predicate = Callable[[Floats], Bools]


class Kernels(NamedTuple):
    """What the functions of these names below do, by whatever means."""

    fill_sums: Callable[[Floats, int, int, Floats], None]
    closest: Callable[[Floats, Floats, Floats], tuple[Floats, Ints, Ints, Bools]]
    first_within: Callable[[Floats, Floats, Floats, int, float], tuple[Ints, Ints]]


@cache
def kernels() -> Kernels:
    """The compiled loops where numba works, numpy's elsewhere."""
    try:
        from tombola.theory import _compiled
    except ImportError:  # not installed, or made for an older numpy
        return NUMPY
    return Kernels(_compiled.fill_sums, _compiled.closest, _compiled.first_within)


def fill_sums(candidates: Floats, start: int, stop: int, sums: Floats) -> None:
    """Fill sums[r, m] with the sum of the candidates[r, start + b], before `stop`, whose bit b is set
    in m: from 0.0, in the order of b.
    """
    sums[:, 0] = 0.0
    for index in range(start, stop):
        done = 1 << (index - start)
        np.add(sums[:, :done], candidates[:, index : index + 1], out=sums[:, done : 2 * done])


def closest(targets: Floats, left: Floats, right: Floats) -> tuple[Floats, Ints, Ints, Bools]:
    """The least |(left[i] + right[j]) - target| of each row, the first i and the first j at that i which
    attain it, and whether any other pair does. `right` is sorted along its rows.

    Rounding is monotone, so along a row of `right` the rounded sums ascend and their rounded errors fall,
    then rise: the least are side by side where the sums pass the target.
    """
    rows, length = np.arange(targets.size), right.shape[1]
    aims = targets[:, None]
    over = count_while(left, right, lambda sums: sums < aims)
    under = np.maximum(over - 1, 0)
    errors = np.minimum(
        _errors(aims, left, right, under), _errors(aims, left, right, np.minimum(over, length - 1))
    )
    i = errors.argmin(axis=1)
    best = errors[rows, i]
    # All ties at this i touch `under` or `under + 1`, so two more show whether there are any.
    near = under[rows, i][:, None] + np.arange(-1, 3)
    there = (near >= 0) & (near < length)
    ties = there & (_errors(aims, left[rows, i][:, None], right, near.clip(0, length - 1)) == best[:, None])
    tied = ((errors == best[:, None]).sum(axis=1) > 1) | (ties.sum(axis=1) > 1)
    return best, i, near[rows, ties.argmax(axis=1)], tied


def first_within(
    targets: Floats, left: Floats, right: Floats, glances: int, tolerance: float
) -> tuple[Ints, Ints]:
    """The first j < `glances`, and for it the first i, with |(left[i] + right[j]) - target| <= tolerance;
    -1 and -1 in the rows that have none.
    """
    i, j = np.full(targets.size, -1), np.full(targets.size, -1)
    rows = np.arange(targets.size)
    for place in range(min(glances, right.shape[1])):
        near = np.abs((left + right[:, place : place + 1]) - targets[:, None]) <= tolerance
        first = near.argmax(axis=1)
        found = near[np.arange(rows.size), first]
        if found.any():
            i[rows[found]], j[rows[found]] = first[found], place
            rows, targets, left, right = rows[~found], targets[~found], left[~found], right[~found]
        if rows.size == 0:
            break
    return i, j


NUMPY = Kernels(fill_sums, closest, first_within)


def count_while(left: Floats, right: Floats, holds: Predicate) -> Ints:
    """For each left[r, q], how many of right[r] have a sum with it that `holds`: those come first."""
    start = np.arange(right.shape[0])[:, None] * right.shape[1]
    flat = right.reshape(-1)
    found = np.broadcast_to(start, left.shape).copy()
    remaining = right.shape[1]
    while remaining > 1:
        half = remaining // 2
        found += half * holds(left + flat[found + (half - 1)])
        remaining -= half
    found += holds(left + flat[found])
    count: Ints = found - start
    return count


def _errors(aims: Floats, left: Floats, right: Floats, j: Ints) -> Floats:
    """|(left[r, q] + right[r, j[r, q]]) - aims[r]|."""
    errors: Floats = np.abs((left + np.take_along_axis(right, j, axis=1)) - aims)
    return errors
