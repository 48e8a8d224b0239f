"""Meet in the middle: of 2^n subset sums, the one wanted, by sorting the 2^(n/2) sums of one half and
searching them for each sum of the other (Horowitz and Sahni 1974, doi:10.1145/321812.321823).

Everything here is batched: row r of every array belongs to target r. A subset is written as its *key*:
its mask read as a binary number, candidate 0 the lowest bit, plus 2^40 for every member. Keys of a left
and a right half add up to the key of their union, and the lower key is the subset to prefer among
equals: fewer members, then the lower mask.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tombola.theory.kernels import Bools, Floats, Ints, count_while, kernels

MOST = 40
NO_KEY = np.iinfo(np.int64).max
MASK_BITS = np.int64((1 << MOST) - 1)
# `within` tries so many right subsets with every left one in plain order before it sorts.
_GLANCES = 64


class Half(NamedTuple):
    """Subsets of one half of the candidates: `sums` (rows, subsets) and their `keys` (subsets,)."""

    sums: Floats
    keys: Ints

    def members(self, count: int) -> Half:
        """Only the subsets of `count` members."""
        chosen = np.flatnonzero(self.keys >> MOST == count)
        return Half(self.sums.take(chosen, axis=1), self.keys[chosen])

    def rows(self, rows: Ints | Bools) -> Half:
        """Only some targets' rows."""
        return Half(self.sums[rows], self.keys)


class Room:
    """Memory for the large arrays of one batch after another: fresh pages would cost more than the sums."""

    def __init__(self) -> None:
        self._arrays: dict[str, Floats] = {}

    def take(self, name: str, shape: tuple[int, int]) -> Floats:
        """An array of this shape and any content; the one given last under the name is lost."""
        size = shape[0] * shape[1]
        if name not in self._arrays or self._arrays[name].size < size:
            self._arrays[name] = np.empty(size)
        return self._arrays[name][:size].reshape(shape)


def halves(candidates: Floats, room: Room) -> tuple[Half, Half]:
    """The left half, the first n // 2 of the candidates (rows, n), and the right half, the rest.

    A sum of a half starts at 0.0 and takes its members in the order of their index.
    """
    rows, count = candidates.shape
    middle = count // 2
    left = room.take("left", (rows, 1 << middle))
    right = room.take("right", (rows, 1 << (count - middle)))
    return _half(candidates, 0, middle, left), _half(candidates, middle, count, right)


def _half(candidates: Floats, start: int, stop: int, sums: Floats) -> Half:
    kernels().fill_sums(candidates, start, stop, sums)
    keys = np.zeros(1, dtype=np.int64)
    for index in range(start, stop):
        keys = np.concatenate([keys, keys + ((1 << MOST) + (1 << index))])
    return Half(sums, keys)


def nearest(targets: Floats, left: Half, right: Half, room: Room) -> tuple[Floats, Ints]:
    """The least error of each target and the lowest key that attains it."""
    return _nearest_of(targets, [(left, right)], np.inf, room)


def exactly(
    targets: Floats, left: Half, right: Half, size: int, tolerance: float, room: Room
) -> tuple[Floats, Ints]:
    """The same among the subsets of exactly `size` members: (inf, NO_KEY) where there are none. Where the
    error exceeds `tolerance`, the key is any.
    """
    most_left, most_right = (int(half.keys[-1]) >> MOST for half in (left, right))
    splits = range(max(0, size - most_right), min(size, most_left) + 1)
    pairs = [(left.members(some), right.members(size - some)) for some in splits]
    return _nearest_of(targets, pairs, tolerance, room)


def fewest(targets: Floats, left: Half, right: Half, tolerance: float, room: Room) -> tuple[Floats, Ints]:
    """The same among the subsets of the least size that comes within `tolerance`: (inf, NO_KEY) where
    none does.
    """
    errors = np.full(targets.size, np.inf)
    keys = np.full(targets.size, NO_KEY)
    rows, most = np.arange(targets.size), int(left.keys[-1] + right.keys[-1]) >> MOST
    for size in range(most + 1):
        found_errors, found_keys = exactly(targets[rows], left, right, size, tolerance, room)
        found = found_errors <= tolerance
        errors[rows[found]], keys[rows[found]] = found_errors[found], found_keys[found]
        more = ~found
        if size == most // 4:
            # Where this many were not enough, often none are: one look at all sizes spares the rest.
            more &= _closest(targets[rows], left, right, room)[0] <= tolerance
        if not more.all():
            rows, left, right = rows[more], left.rows(more), right.rows(more)
        if rows.size == 0:
            break
    return errors, keys


def within(targets: Floats, left: Half, right: Half, tolerance: float, room: Room) -> Ints:
    """The lowest mask, as a binary number, that comes within `tolerance`: NO_KEY where none does."""
    i, j = kernels().first_within(targets, left.sums, right.sums, _GLANCES, tolerance)
    keys = np.where(i >= 0, left.keys[i] + right.keys[j], NO_KEY)
    rows = np.flatnonzero(i < 0)
    if rows.size and right.keys.size > _GLANCES:
        left, right = left.rows(rows), right.rows(rows)
        possible = _closest(targets[rows], left, right, room)[0] <= tolerance
        # Without the count of members the lowest key is the lowest mask.
        left, right = (half.rows(possible)._replace(keys=half.keys & MASK_BITS) for half in (left, right))
        rows = rows[possible]
        keys[rows] = lowest(targets[rows], left, right, np.full(rows.size, tolerance))
    return keys


def _nearest_of(
    targets: Floats, pairs: list[tuple[Half, Half]], tolerance: float, room: Room
) -> tuple[Floats, Ints]:
    """The least error over all unions of a left with a right subset of one pair, and the lowest key of that
    error: any of its keys where it exceeds `tolerance`.
    """
    errors = np.full(targets.size, np.inf)
    keys = np.full(targets.size, NO_KEY)
    tied = np.zeros(targets.size, dtype=np.bool_)
    for left, right in pairs:
        found_errors, found_keys, found_tied = _closest(targets, left, right, room)
        better = found_errors < errors
        tied = np.where(better, found_tied, tied | (found_errors == errors))
        keys = np.where(better, found_keys, keys)
        errors = np.where(better, found_errors, errors)
    rows = np.flatnonzero(tied & (errors <= tolerance))
    if rows.size:
        each = [
            lowest(targets[rows], left.rows(rows), right.rows(rows), errors[rows]) for left, right in pairs
        ]
        keys[rows] = np.minimum.reduce(each)
    return errors, keys


def _closest(targets: Floats, left: Half, right: Half, room: Room) -> tuple[Floats, Ints, Bools]:
    ordered = room.take("ordered", right.sums.shape)
    ordered[...] = right.sums
    ordered.sort(axis=1)
    errors, i, j, tied = kernels().closest(targets, left.sums, ordered)
    rows = np.arange(targets.size)
    # Sorting values alone is several times faster than sorting indices: the winner's is looked up.
    places = (right.sums == ordered[rows, j][:, None]).argmax(axis=1)
    return errors, left.keys[i] + right.keys[places], tied


def lowest(targets: Floats, left: Half, right: Half, limits: Floats) -> Ints:
    """The lowest key of each row among all subsets with an error <= its limit; NO_KEY where none has."""
    order = right.sums.argsort(axis=1)
    ordered = np.take_along_axis(right.sums, order, axis=1)
    aims, limit = targets[:, None], limits[:, None]
    begin = count_while(left.sums, ordered, lambda sums: (sums < aims) & (np.abs(sums - aims) > limit))
    end = count_while(left.sums, ordered, lambda sums: (sums < aims) | (np.abs(sums - aims) <= limit))
    totals = np.full(begin.shape, NO_KEY)
    for level, table in enumerate(_range_minima(right.keys[order])):
        row, query = np.nonzero((end - begin) >> level == 1)
        first, last = begin[row, query], end[row, query] - (1 << level)
        totals[row, query] = np.minimum(table[row, first], table[row, last]) + left.keys[query]
    least: Ints = totals.min(axis=1)
    return least


def _range_minima(values: Ints) -> Iterator[Ints]:
    """Minima of the 1, 2, 4, 8, … values from each place of a row on."""
    width = 1
    while values.shape[1] > 0:
        yield values
        values = (
            np.minimum(values[:, :-width], values[:, width:]) if values.shape[1] > width else values[:, :0]
        )
        width *= 2
