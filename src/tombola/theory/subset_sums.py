"""Random subset sum: choose some of n random candidates so that their sum is near a target.

>>> import numpy as np
>>> found = subset_sum([0.5, -1.0, 9.0], [0.25, 0.375, 0.125, -1.25], tolerance=0.01)
>>> found.mask.astype(int).tolist(), found.sums.tolist(), found.solved.tolist()
([[0, 1, 1, 0], [1, 0, 0, 1], [1, 1, 1, 0]], [0.5, -1.0, 0.75], [True, True, False])

n = O(log(1/tolerance)) candidates suffice with high probability (Lueker 1998,
doi:10.1002/(SICI)1098-2418(199801)12:1<51::AID-RSA3>3.0.CO;2-S).
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tombola.errors import ArgumentError, unknown
from tombola.theory import meet
from tombola.theory.kernels import Bools, Floats, Ints
from tombola.theory.meet import MOST, NO_KEY, Room

VARIANTS = ("nearest", "fewest", "size", "within")
# So many half sums are worked on at once: few enough for a core's cache.
_CHUNK = 1 << 17


@dataclass(frozen=True, eq=False)
class SubsetSums:
    """N chosen subsets: which candidates are members, and how near their sums come to the targets."""

    mask: Bools
    """(N, n): the members of each target's subset."""
    sums: Floats
    """(N,): the sums achieved."""
    errors: Floats
    """(N,): |sums - targets|."""
    solved: Bools
    """(N,): whether the subset is of the kind asked for and its error <= the tolerance."""


def subset_sum(
    targets: npt.ArrayLike,
    candidates: npt.ArrayLike,
    tolerance: float,
    *,
    variant: str = "nearest",
    size: int | None = None,
    alive: npt.ArrayLike | None = None,
) -> SubsetSums:
    """For each target a subset of its candidates whose sum is within `tolerance` of it, exactly.

    `targets` (N,); `candidates` (N, n), or (n,) for all targets; `alive` optional, booleans (N, n) or
    (n,): the candidates that may be used, at most 40 for any target. All in the same unit. Variants:

    - "nearest": the least |sum - target| of all subsets, the empty one included;
    - "fewest": within the tolerance with the fewest members, and of these the nearest;
    - "size": the nearest of exactly `size` members;
    - "within": the subset within the tolerance whose mask is the lowest (see below); the fastest.

    Ties go to the fewer members, then to the lowest mask read as a binary number, candidate 0 its lowest
    bit. A target for which there is no such subset within the tolerance is not `solved`: its mask is all
    False, but for "nearest", which gives the nearest subset all the same.

    Exact means: over all 2^a subsets of the a usable candidates, with sums and errors in float64. The sum
    is (sum of the members among the first a // 2 usable candidates) + (sum of the other members), each
    taken from 0.0 in the order of their index. So a sum is within 20 · 2^-53 · (1 + 1e-14) · sum of
    |members| of the true one, and an error within that plus 2^-53 of itself.

    Memory: 2^20 half sums at a time, under 200 MB, beside the arguments and the result. Time goes as
    2^(a/2). With numba installed the search is compiled, with the same result bit for bit.

    Raises ArgumentError for other shapes, numbers that are not finite or whose sums are not, a tolerance
    that is not positive, more than 40 usable candidates, an unknown variant, or a size outside [0, n] or
    without its variant.

    Source: Lueker 1998; the search, Horowitz and Sahni 1974.
    """
    aims, rows, usable = _checked(targets, candidates, alive)
    _check_options(tolerance, variant, size, rows.shape[1])
    mask = np.zeros(rows.shape, dtype=np.bool_)
    sums = np.zeros(aims.shape)
    solved = np.zeros(aims.shape, dtype=np.bool_)
    room = Room()
    for where, columns in _chunks(usable, rows.shape):
        mine = rows[where] if columns is None else np.take_along_axis(rows[where], columns, axis=1)
        # Copies, for numba compiles anew for arrays that are read-only or not contiguous.
        mine, near = np.array(mine, order="C"), np.array(aims[where])
        keys, solved[where] = _solve(near, mine, float(tolerance), variant, size, room)
        members = (keys[:, None] >> np.arange(mine.shape[1])) & 1 == 1
        sums[where] = _sums(mine, members)
        if columns is None:
            mask[where] = members
        else:
            part = np.zeros((keys.size, rows.shape[1]), dtype=np.bool_)
            np.put_along_axis(part, columns, members, axis=1)
            mask[where] = part
    return SubsetSums(mask, sums, np.abs(sums - aims), solved)


def _solve(
    targets: Floats, candidates: Floats, tolerance: float, variant: str, size: int | None, room: Room
) -> tuple[Ints, Bools]:
    """The keys of the subsets to report, and which are solutions."""
    left, right = meet.halves(candidates, room)
    if variant == "nearest":
        errors, keys = meet.nearest(targets, left, right, room)
        return keys, errors <= tolerance
    if variant == "size":
        assert size is not None
        errors, keys = meet.exactly(targets, left, right, size, tolerance, room)
        solved = errors <= tolerance
    elif variant == "fewest":
        keys = meet.fewest(targets, left, right, tolerance, room)[1]
        solved = keys != NO_KEY
    else:
        keys = meet.within(targets, left, right, tolerance, room)
        solved = keys != NO_KEY
    return np.where(solved, keys, 0), solved


def _chunks(usable: Bools | None, shape: tuple[int, ...]) -> Iterator[tuple[Ints | slice, Ints | None]]:
    """Rows to solve at once and the columns of their usable candidates (None: all). Targets with
    equally many usable candidates go together, so that each costs only what its own are worth.
    """
    targets, count = shape
    if usable is None:
        for start in range(0, targets, _rows(count)):
            yield slice(start, min(start + _rows(count), targets)), None
        return
    counts = usable.sum(axis=1)
    for value in np.unique(counts).tolist():
        group = np.flatnonzero(counts == value)
        for start in range(0, group.size, _rows(value)):
            where = group[start : start + _rows(value)]
            yield where, np.nonzero(usable[where])[1].reshape(where.size, value)


def _rows(count: int) -> int:
    return max(1, _CHUNK >> -(-count // 2))


def _sums(candidates: Floats, members: Bools) -> Floats:
    """Sums in the stated order. Adding the 0.0 of a candidate that is no member changes nothing."""
    terms = np.where(members, candidates, 0.0).T
    middle = terms.shape[0] // 2
    parts = np.zeros((2, terms.shape[1]))
    for index, term in enumerate(terms):
        parts[int(index >= middle)] += term
    total: Floats = parts[0] + parts[1]
    return total


def _checked(
    targets: npt.ArrayLike, candidates: npt.ArrayLike, alive: npt.ArrayLike | None
) -> tuple[Floats, Floats, Bools | None]:
    """Targets (N,), candidates (N, n) and usable candidates (N, n), or None where all are."""
    aims, values = _finite("targets", targets), _finite("candidates", candidates)
    if aims.ndim != 1:
        raise ArgumentError(f"targets must have shape (N,), got {aims.shape}")
    if values.ndim not in (1, 2) or (values.ndim == 2 and values.shape[0] != aims.size):
        raise ArgumentError(f"candidates must have shape ({aims.size}, n) or (n,), got {values.shape}")
    shape = (aims.size, values.shape[-1])
    if shape[1] == 0:
        raise ArgumentError(f"there must be at least one candidate for a target, got shape {values.shape}")
    usable = _usable(alive, shape)
    most = shape[1] if usable is None else int(usable.sum(axis=1).max(initial=0))
    if most > MOST:
        raise ArgumentError(f"at most {MOST} candidates can be used for a target, got {most}")
    with np.errstate(over="ignore"):
        largest = np.abs(values).sum(axis=-1).max(initial=0.0) + np.abs(aims).max(initial=0.0)
    if not math.isfinite(2 * largest):
        raise ArgumentError("candidates and targets must have finite sums in float64, got numbers too large")
    return aims, np.broadcast_to(values, shape), usable


def _finite(what: str, values: npt.ArrayLike) -> Floats:
    try:
        array = np.asarray(values)
    except ValueError:  # rows of unequal length
        raise ArgumentError(f"{what} must be one array of real numbers, got rows of unequal length") from None
    if array.dtype.kind not in "iuf":
        raise ArgumentError(f"{what} must be real numbers, got {array.dtype}")
    numbers: Floats = array.astype(np.float64, copy=False)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if bad.size:
        index = ", ".join(str(place) for place in np.unravel_index(bad[0], numbers.shape))
        raise ArgumentError(f"{what} must be finite, got {numbers.flat[bad[0]]} at index {index}")
    return numbers


def _usable(alive: npt.ArrayLike | None, shape: tuple[int, ...]) -> Bools | None:
    if alive is None:
        return None
    array = np.asarray(alive)
    if array.dtype != np.bool_:
        raise ArgumentError(f"alive must be booleans, got {array.dtype}")
    if array.shape not in (shape, shape[1:]):
        raise ArgumentError(f"alive must have shape {shape} or {shape[1:]}, got {array.shape}")
    return None if array.all() else np.broadcast_to(array, shape)


def _check_options(tolerance: float, variant: str, size: int | None, count: int) -> None:
    real = isinstance(tolerance, numbers.Real) and not isinstance(tolerance, bool)
    if not real or not 0 < tolerance < math.inf:
        raise ArgumentError(f"tolerance must be a finite number above 0, got {tolerance!r}")
    if variant not in VARIANTS:
        raise unknown("variant", variant, VARIANTS)
    if variant != "size":
        if size is not None:
            raise ArgumentError(f"size is for variant 'size' only, got {size!r} for {variant!r}")
    elif isinstance(size, bool) or not isinstance(size, (int, np.integer)) or not 0 <= size <= count:
        raise ArgumentError(f"size must be an integer in [0, {count}], got {size!r}")
