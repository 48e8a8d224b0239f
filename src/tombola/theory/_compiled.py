"""The search of `tombola.theory.kernels` in machine code: the same answer bit for bit, many times faster.

Needs numba, so this module is imported only when a subset sum is first asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Function = TypeVar("Function", bound=Callable[..., object])


def _compile(function: Function) -> Function:
    """Compile at the first call and keep the machine code on disk where there is a place for it.

    Fast-math stays off: a sum must round here as it does in numpy.
    """
    try:
        return cast(Function, numba.njit(cache=True)(function))
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return cast(Function, numba.njit(function))


@_compile
def fill_sums(candidates: Floats, start: int, stop: int, sums: Floats) -> None:
    """See `kernels.fill_sums`."""
    for row in range(candidates.shape[0]):
        mine = sums[row]
        mine[0] = 0.0
        for index in range(start, stop):
            done, extra = 1 << (index - start), candidates[row, index]
            for m in range(done):
                mine[done + m] = mine[m] + extra


def closest(targets: Floats, left: Floats, right: Floats) -> tuple[Floats, Ints, Ints, Bools]:
    """See `kernels.closest`."""
    rows = targets.size
    best, tied = np.empty(rows), np.empty(rows, dtype=np.bool_)
    i, j = np.empty(rows, dtype=np.int64), np.empty(rows, dtype=np.int64)
    _closest(targets, left, right, best, i, j, tied)
    return best, i, j, tied


def first_within(
    targets: Floats, left: Floats, right: Floats, glances: int, tolerance: float
) -> tuple[Ints, Ints]:
    """See `kernels.first_within`."""
    i, j = np.full(targets.size, -1), np.full(targets.size, -1)
    _first_within(targets, left, right, glances, tolerance, i, j)
    return i, j


@_compile
def _closest(
    targets: Floats, left: Floats, right: Floats, best: Floats, i: Ints, j: Ints, tied: Bools
) -> None:
    rows, queries = left.shape
    length = right.shape[1]
    # Unsigned, or every look-up would first be tested for a negative index.
    below = np.empty(queries, dtype=np.uint64)
    signed = below.view(np.int64)
    errors = np.empty(queries, dtype=np.float64)
    # Errors are >= 0, so their bits sort as they do; the minimum of integers is taken eight at a time.
    bits = errors.view(np.int64)
    none, one, end = np.uint64(0), np.uint64(1), np.uint64(length - 1)
    for row in range(rows):
        target, mine, others = targets[row], left[row], right[row]
        below[:] = none
        # A bisection for all left sums at once: no step waits for another's, none is mispredicted.
        remaining = length
        while remaining > 1:
            half = np.uint64(remaining >> 1)
            for q in range(queries):
                below[q] += half if mine[q] + others[below[q] + half - one] < target else none
            remaining -= remaining >> 1
        for q in range(queries):
            under = below[q]
            over = under + (one if mine[q] + others[under] < target else none)
            # `under` is now the last sum below the target, or the first of all, `over` the next, or the last.
            under = over - (one if over > none else none)
            over = min(over, end)
            errors[q] = min(abs((mine[q] + others[under]) - target), abs((mine[q] + others[over]) - target))
            below[q] = under
        least = bits[0]
        for q in range(queries):
            least = min(least, bits[q])
        count = 0
        for q in range(queries):
            count += bits[q] == least
        winner = 0
        while bits[winner] != least:
            winner += 1
        # The sums that tie at one left sum lie side by side, and one of them is `under` or the next.
        first = signed[winner]
        runs, at = 0, -1
        for near in range(max(first - 1, 0), min(first + 3, length)):
            if abs((mine[winner] + others[near]) - target) == errors[winner]:
                runs += 1
                at = near if at < 0 else at
        best[row], i[row], j[row], tied[row] = errors[winner], winner, at, count > 1 or runs > 1


@_compile
def _first_within(
    targets: Floats, left: Floats, right: Floats, glances: int, tolerance: float, i: Ints, j: Ints
) -> None:
    for row in range(left.shape[0]):
        target, mine = targets[row], left[row]
        for place in range(min(glances, right.shape[1])):
            other = right[row, place]
            count = 0
            for q in range(mine.size):  # all of them, for then it is done eight at a time
                count += abs((mine[q] + other) - target) <= tolerance
            if count:
                first = 0
                while not abs((mine[first] + other) - target) <= tolerance:
                    first += 1
                i[row], j[row] = first, place
                break
