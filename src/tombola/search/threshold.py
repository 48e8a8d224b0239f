"""The exact threshold of the `keep` greatest entries, without sorting or partitioning all of them.

Floyd and Rivest's idea (SELECT, CACM 1975): a bracket that is likely to hold the threshold is got cheaply,
one pass counts what lies above it and gathers what lies inside, and only that is partitioned. The bracket
comes from where the threshold was at the last step and how far it moves (scores change little from step to
step), else from a sample. Whether it held is known from the counts, so the result never depends on it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tombola.mask import BoolArray

Floats = npt.NDArray[np.float32]
Part = tuple[Floats, BoolArray | None]
"""Flat values, and which of them take part: None for all."""

# Entries that are looked at together: what is made of them fits a processor's nearest caches.
_CHUNK = 1 << 17
# So few are partitioned at once.
_FEW = 2048
_SAMPLE = 4096


@dataclass(frozen=True)
class Cut:
    """What is kept: all entries above `value`, and of the `tied` ones equal to it `ties`."""

    value: float
    ties: int = 0
    tied: int = 0

    @property
    def splits(self) -> bool:
        """Whether some of the entries equal to `value` are kept and others are not."""
        return self.ties < self.tied


class Tracker:
    """Finds the threshold again and again, of values that change little in between."""

    def __init__(self) -> None:
        self._last = math.nan  # where the threshold was
        self._reach = math.nan  # how far from there it is looked for
        self._spread = math.inf  # how far a sample's bracket reaches

    def find(self, parts: Sequence[Part], keep: int) -> Cut:
        """The cut that keeps `keep` entries of all parts together: none if `keep` <= 0, all of them if there
        are no more. The values are numbers, not infinite.
        """
        total = sum(len(values) if alive is None else int(np.count_nonzero(alive)) for values, alive in parts)
        if keep <= 0 or keep >= total:
            return Cut(math.inf if keep <= 0 else -math.inf)
        cut = None
        if total > _FEW:
            if self._reach <= self._spread:
                cut = _within(parts, keep, self._last - self._reach, self._last + self._reach)
            if cut is None:
                low, high = _sampled(parts, keep, total)
                self._spread = (high - low) / 2
                cut = _within(parts, keep, low, high)
        if cut is None:
            cut = _within(parts, keep, -math.inf, math.inf)
            assert cut is not None  # which holds every threshold
        self._follow(cut.value)
        return cut

    def _follow(self, value: float) -> None:
        """Look next as far as four times the last move, closing in by no more than half at once."""
        moved, self._last = abs(value - self._last), value
        self._reach = 4 * moved if math.isnan(self._reach) else max(4 * moved, self._reach / 2)


def _within(parts: Sequence[Part], keep: int, low: float, high: float) -> Cut | None:
    """The cut if its value lies between `low` and `high`, both included; None if it does not."""
    above, inside = 0, []
    with np.errstate(over="ignore"):  # a bracket may end beyond the greatest float32
        least, most = np.float32(low), np.float32(high)
    room = np.empty((2, min(_CHUNK, max(len(values) for values, _ in parts))), dtype=np.bool_)
    for values, alive in _chunks(parts):
        over, among = room[:, : len(values)]
        np.greater(values, most, out=over)
        np.greater_equal(values, least, out=among)
        if alive is not None:
            over &= alive
            among &= alive
        above += int(np.count_nonzero(over))
        if above >= keep:
            return None
        among ^= over
        inside.append(values[np.flatnonzero(among)])
    band = np.concatenate(inside)
    place = len(band) - (keep - above)
    if place < 0:
        return None
    value = np.partition(band, place)[place]
    more = int(np.count_nonzero(band > value))
    return Cut(float(value), keep - above - more, int(np.count_nonzero(band == value)))


def _chunks(parts: Sequence[Part]) -> Iterator[Part]:
    for values, alive in parts:
        for start in range(0, len(values), _CHUNK):
            span = slice(start, start + _CHUNK)
            yield values[span], None if alive is None else alive[span]


def _sampled(parts: Sequence[Part], keep: int, total: int) -> tuple[float, float]:
    """A bracket four standard deviations to either side of the threshold of every so manieth entry."""
    # Odd: even strides would meet the same few columns of a matrix over and over.
    stride = sum(len(values) for values, _ in parts) // _SAMPLE | 1
    taken = [(values[::stride], None if alive is None else alive[::stride]) for values, alive in parts]
    sample = np.sort(np.concatenate([v if alive is None else v[alive] for v, alive in taken]))
    size, above = len(sample), keep / total
    margin = 4 * math.sqrt(size * above * (1 - above)) + 1
    low, high = math.floor(size * (1 - above) - margin), math.ceil(size * (1 - above) + margin)
    return (
        float(sample[low]) if low >= 0 else -math.inf,
        float(sample[high]) if high < size else math.inf,
    )
