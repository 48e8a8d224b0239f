"""The counts of a ticket <-> bytes: unsigned LEB128 numbers, one after another.

For each tensor: kept; then, if kept > 0, the number of generations present, and for each of them in
ascending order its distance from the one before (the first from 0) and how many kept weights are of
it, the last of these numbers left out, for it is what remains of kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tombola.errors import TicketError
from tombola.ticket.codec import TensorCounts

_LIMIT = 1 << 62


def write_counts(tensors: Sequence[TensorCounts]) -> bytes:
    """The bytes of the counts of all tensors in order."""
    return b"".join(_leb128(number) for counts in tensors for number in _numbers(counts))


def read_counts(data: bytes, alive: Sequence[int]) -> list[TensorCounts]:
    """The counts of as many tensors as `alive` has entries, none keeping more than is alive.

    Raises TicketError where the bytes end early, go on, or name impossible counts.
    """
    numbers = _parse(data)
    counts = [_read_tensor(numbers, limit) for limit in alive]
    if next(numbers, None) is not None:
        raise TicketError("the ticket counts more tensors than it names")
    return counts


def _numbers(counts: TensorCounts) -> Iterator[int]:
    yield counts.kept
    if counts.kept == 0:
        return
    yield len(counts.generations)
    previous = 0
    for position, (generation, number) in enumerate(counts.generations, start=1):
        yield generation - previous
        previous = generation
        if position < len(counts.generations):
            yield number


def _read_tensor(numbers: Iterator[int], alive: int) -> TensorCounts:
    kept = _next(numbers)
    if kept > alive:
        raise TicketError(f"the ticket keeps {kept} weights of a tensor with {alive} alive")
    if kept == 0:
        return TensorCounts(0, ())
    present = _next(numbers)
    if not 1 <= present <= kept:
        raise TicketError(f"the ticket names {present} generations for {kept} kept weights")
    generation, left, found = 0, kept, []
    for position in range(present):
        step = _next(numbers)
        number = _next(numbers) if position < present - 1 else left
        generation, left = generation + step, left - number
        if (position > 0 and step == 0) or number < 1 or left < 0 or generation >= 1 << 31:
            raise TicketError(f"the ticket's counts of generations do not add up to {kept} kept weights")
        found.append((generation, number))
    return TensorCounts(kept, tuple(found))


def _next(numbers: Iterator[int]) -> int:
    try:
        return next(numbers)
    except StopIteration:
        raise TicketError("the ticket's counts end early") from None


def _leb128(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def _parse(data: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in data:
        number |= (byte & 0x7F) << shift
        shift += 7
        if number >= _LIMIT or shift > 70:
            raise TicketError("the ticket holds a count that is too large")
        if byte < 0x80:
            yield number
            number = shift = 0
    if shift:
        raise TicketError("the ticket's counts end early")
