"""The counts of a ticket <-> bytes.

For each tensor: how many weights are kept; then, if any, a number that says what redraws made of them:

- 0: nothing, all are of generation 0;
- 1: signs are flipped, and the number of these follows;
- r + 1: r runs of consecutive generations are present. For each run follow the gap since the end of
  the run before (the first: since 0) and its length; then, for each generation present but the last,
  how many weights more than of the one before are of it (the first: more than 0), zigzag-coded. The
  last has what remains of the kept weights.

All are numbers of `varint.py`, for they are small where generations are many: neighbouring generations
have similar counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from tombola.errors import TicketError
from tombola.ticket.codec import TensorCounts
from tombola.ticket.varint import LARGEST, Reader, write_number

_UNTOUCHED, _FLIPS = 0, 1
_GENERATIONS = 1 << 31


def write_counts(tensors: Sequence[TensorCounts]) -> bytes:
    """The bytes of the counts of all tensors in order."""
    return b"".join(write_number(number) for counts in tensors for number in _numbers(counts))


def read_counts(data: bytes, alive: Sequence[int]) -> list[TensorCounts]:
    """The counts of as many tensors as `alive` has entries, none keeping more than is alive.

    Raises TicketError where the bytes end early, go on, or name impossible counts.
    """
    reader = Reader(data, "counts")
    counts = [_read_tensor(reader, limit) for limit in alive]
    reader.end()
    return counts


def _numbers(counts: TensorCounts) -> Iterator[int]:
    yield counts.kept
    if counts.kept == 0:
        return
    if counts.flips:
        yield from (_FLIPS, counts.flips)
    elif counts.generations == ((0, counts.kept),):
        yield _UNTOUCHED
    else:
        runs = list(_runs([generation for generation, _ in counts.generations]))
        yield len(runs) + 1
        for run in runs:
            yield from run
        numbers = [number for _, number in counts.generations]
        yield from (_zigzag(after - before) for before, after in pairwise([0, *numbers[:-1]]))


def _runs(generations: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Gap and length of each run of consecutive generations."""
    end = first = 0
    for position, generation in enumerate(generations, start=1):
        if position == len(generations) or generations[position] != generation + 1:
            yield generations[first] - end, position - first
            end, first = generation + 1, position


def _read_tensor(reader: Reader, alive: int) -> TensorCounts:
    kept = reader.number()
    if kept > alive:
        raise TicketError(f"the ticket keeps {kept} weights of a tensor with {alive} alive")
    form = reader.number() if kept else _UNTOUCHED
    if form == _UNTOUCHED:
        return TensorCounts(kept, ((0, kept),) if kept else ())
    if form == _FLIPS:
        flips = reader.number()
        if not 1 <= flips <= kept:
            raise TicketError(f"the ticket flips {flips} signs of {kept} kept weights")
        return TensorCounts(kept, (), flips)
    return TensorCounts(kept, _read_generations(reader, form - 1, kept))


def _read_generations(reader: Reader, runs: int, kept: int) -> tuple[tuple[int, int], ...]:
    impossible = TicketError(f"the ticket's counts of generations do not add up to {kept} kept weights")
    present: list[int] = []
    end = 0
    for _ in range(runs):
        first = end + reader.number()
        end = first + reader.number()
        # Each generation present is to have a count of at least a byte, so no run can be long for nothing.
        if not first < end <= _GENERATIONS or len(present) + end - first > min(kept, reader.left + 1):
            raise impossible
        present.extend(range(first, end))
    numbers: list[int] = []
    for _ in present[:-1]:
        numbers.append((numbers[-1] if numbers else 0) + _unzigzag(reader.number(LARGEST)))
        if not 1 <= numbers[-1] <= kept:
            raise impossible
    numbers.append(kept - sum(numbers))
    if numbers[-1] < 1:
        raise impossible
    return tuple(zip(present, numbers, strict=True))


def _zigzag(difference: int) -> int:
    """0, -1, 1, -2, 2 … <-> 0, 1, 2, 3, 4 …"""
    return 2 * difference if difference >= 0 else -2 * difference - 1


def _unzigzag(number: int) -> int:
    return number // 2 if number % 2 == 0 else -(number // 2) - 1
