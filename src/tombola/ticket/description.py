"""What a network is made of <-> bytes: seed, distribution, and every tensor's name and shape.

All numbers are those of `varint.py` unless said otherwise; floats are little-endian. First come the
seed (8 bytes, little-endian), the length of the distribution's name and that name, and how many entries
there are. Then, for each entry:

- how many bytes its name shares with the beginning of the last entry's, how many follow, and these;
- a byte that says what it is (`RANDOM` … `STATISTIC`), with flags;
- unless `SAME_SHAPE` is set, the number of dimensions and each of them;
- of a random tensor: with `FAN_IN` its fan-in (float64; else the product of all dimensions but the
  first), with `FAN_DENSITY` that (float64; else 1), with `SPARSE` how many of 2^32 words make an entry
  alive, or with `EXACT` how many entries are alive (else all);
- of a fixed tensor `FIXED_AT` its value (float32).

Random tensors, fixed tensors and statistics are three lists, each in the model's order, merged such
that names share most: next is whichever list's head shares most bytes with the last name, the earlier
of these lists where several do.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tombola.errors import TicketError
from tombola.rng import WORD_RANGE
from tombola.source.init import DISTRIBUTIONS
from tombola.source.recipe import (
    MAX_FAN_IN,
    MIN_FAN_DENSITY,
    MIN_FAN_IN,
    FixedTensor,
    RandomTensor,
    Recipe,
    Shape,
)
from tombola.ticket.varint import Reader, write_number

RANDOM, FIXED_AT_0, FIXED_AT_1, FIXED_AT, STATISTIC = range(5)
SAME_SHAPE, FAN_IN, FAN_DENSITY, SPARSE, EXACT = 8, 16, 32, 64, 128

MAX_SIZE = 1 << 40
MAX_DIMENSIONS = 8
MAX_NAME = 1 << 10
MAX_ENTRIES = 1 << 16


@dataclass(frozen=True)
class Statistic:
    """A normalisation layer's running statistic, by its buffer's name."""

    name: str
    shape: Shape


Entry = RandomTensor | FixedTensor | Statistic


def write_description(recipe: Recipe, statistics: Mapping[str, Shape]) -> bytes:
    """The bytes that `read_description` reads: equal descriptions give equal bytes."""
    stored = [Statistic(name, shape) for name, shape in statistics.items()]
    lists: list[Sequence[Entry]] = [recipe.tensors, recipe.fixed, stored]
    init = recipe.init.encode()
    parts = [struct.pack("<Q", recipe.seed), write_number(len(init)), init]
    parts.append(write_number(sum(len(entries) for entries in lists)))
    last_name: bytes = b""
    last_shape: Shape | None = None
    for entry in _merged(lists):
        name = entry.name.encode()
        shared = _shared(last_name, name)
        parts += [write_number(shared), write_number(len(name) - shared), name[shared:]]
        parts.append(_write_entry(entry, entry.shape == last_shape))
        last_name, last_shape = name, entry.shape
    return b"".join(parts)


def read_description(data: bytes, max_weights: int) -> tuple[Recipe, dict[str, Shape]]:
    """Recipe, and the statistics' shapes by name. Allocates nothing of the tensors' sizes.

    Raises TicketError for what cannot be, and for more than `max_weights` weights, fixed ones included.
    """
    reader = Reader(data, "description bytes")
    seed: int = struct.unpack("<Q", reader.take(8))[0]
    init = _text(reader.take(reader.number(MAX_NAME)))
    if init not in DISTRIBUTIONS:
        raise TicketError(f"the ticket's distribution {init!r:.80} is not known: {', '.join(DISTRIBUTIONS)}")
    entries = list(_read_entries(reader))
    reader.end()
    tensors = tuple(entry for entry in entries if isinstance(entry, RandomTensor))
    fixed = tuple(entry for entry in entries if isinstance(entry, FixedTensor))
    names = [entry.name for entry in entries]
    if len(set(names)) < len(names):
        raise TicketError("the ticket names a tensor twice")
    if not tensors:
        raise TicketError("the ticket holds no tensor")
    total = sum(tensor.size for tensor in tensors) + sum(math.prod(tensor.shape) for tensor in fixed)
    if total > max_weights:
        raise TicketError(f"the ticket asks for {total} weights, more than max_weights, {max_weights}")
    shapes = {entry.name: entry.shape for entry in entries if isinstance(entry, Statistic)}
    return Recipe(seed, init, tensors, fixed), shapes


def _merged(lists: Sequence[Sequence[Entry]]) -> Iterator[Entry]:
    heads = [list(reversed(entries)) for entries in lists]
    last = b""
    while any(heads):
        # max takes the first of equals.
        best = max((left for left in heads if left), key=lambda left: _shared(last, left[-1].name.encode()))
        entry = best.pop()
        last = entry.name.encode()
        yield entry


def _shared(a: bytes, b: bytes) -> int:
    """How many bytes two names have in common from their beginning."""
    low, high = 0, min(len(a), len(b))
    while low < high:  # comparing slices is fast, bytes one by one is not
        middle = (low + high + 1) // 2
        low, high = (middle, high) if a[:middle] == b[:middle] else (low, middle - 1)
    return low


def _write_entry(entry: Entry, same_shape: bool) -> bytes:
    kind, tail = _kind(entry)
    if same_shape:
        return bytes([kind | SAME_SHAPE]) + tail
    shape = b"".join(write_number(number) for number in (len(entry.shape), *entry.shape))
    return bytes([kind]) + shape + tail


def _kind(entry: Entry) -> tuple[int, bytes]:
    """The byte that says what an entry is, and what follows its shape."""
    if isinstance(entry, Statistic):
        return STATISTIC, b""
    if isinstance(entry, FixedTensor):
        value = struct.pack("<f", entry.value)
        plain = {struct.pack("<f", 0.0): FIXED_AT_0, struct.pack("<f", 1.0): FIXED_AT_1}
        return (plain[value], b"") if value in plain else (FIXED_AT, value)
    kind, tail = RANDOM, b""
    if entry.fan_in != _natural_fan_in(entry.shape):
        kind, tail = kind | FAN_IN, struct.pack("<d", entry.fan_in)
    if entry.fan_density != 1.0:
        kind, tail = kind | FAN_DENSITY, tail + struct.pack("<d", entry.fan_density)
    if entry.alive_count is not None:
        kind, tail = kind | EXACT, tail + write_number(entry.alive_count)
    elif not entry.is_dense:
        kind, tail = kind | SPARSE, tail + write_number(entry.alive_words)
    return kind, tail


def _read_entries(reader: Reader) -> Iterator[Entry]:
    name: bytes = b""
    shape: Shape | None = None
    for _ in range(reader.number(MAX_ENTRIES)):
        shared = reader.number(MAX_NAME)
        if shared > len(name):
            raise TicketError(f"the ticket's names share {shared} bytes of {len(name)}")
        name = name[:shared] + reader.take(reader.number(MAX_NAME - shared))
        kind = reader.take(1)[0]
        if not kind & SAME_SHAPE:
            shape = _read_shape(reader)
        if shape is None:
            raise TicketError("the ticket's first tensor has no shape")
        yield _read_entry(reader, _text(name), shape, kind & ~SAME_SHAPE)


def _read_shape(reader: Reader) -> Shape:
    shape = tuple(reader.number(MAX_SIZE) for _ in range(reader.number(MAX_DIMENSIONS)))
    # Empty tensors too must have a shape that an array can have.
    if math.prod(max(size, 1) for size in shape) > MAX_SIZE:
        raise TicketError(f"the ticket holds the shape {shape}, of more than {MAX_SIZE} weights")
    return shape


def _read_entry(reader: Reader, name: str, shape: Shape, kind: int) -> Entry:
    if kind == STATISTIC:
        return Statistic(name, shape)
    if kind in (FIXED_AT_0, FIXED_AT_1, FIXED_AT):
        value = struct.unpack("<f", reader.take(4))[0] if kind == FIXED_AT else float(kind == FIXED_AT_1)
        if not math.isfinite(value):
            raise TicketError(f"the ticket fixes {name!r:.80} at {value}")
        return FixedTensor(name, shape, value)
    if kind & ~(FAN_IN | FAN_DENSITY | SPARSE | EXACT) != RANDOM or (kind & SPARSE and kind & EXACT):
        raise TicketError(f"the ticket says that {name!r:.80} is of kind {kind}, which is not known")
    fan_in = struct.unpack("<d", reader.take(8))[0] if kind & FAN_IN else _natural_fan_in(shape)
    fan_density = struct.unpack("<d", reader.take(8))[0] if kind & FAN_DENSITY else 1.0
    if not (MIN_FAN_IN <= fan_in <= MAX_FAN_IN and MIN_FAN_DENSITY <= fan_density <= 1):
        raise TicketError(f"the ticket's tensor {name!r:.80} has fan-in {fan_in}, fan density {fan_density}")
    alive_words = reader.number(WORD_RANGE) if kind & SPARSE else WORD_RANGE
    alive_count = reader.number(math.prod(shape) - 1) if kind & EXACT else None
    whole = int(fan_in) if float(fan_in).is_integer() else fan_in
    return RandomTensor(name, shape, whole, fan_density, alive_words, alive_count)


def _natural_fan_in(shape: Shape) -> int:
    """Inputs per output of a linear layer or a convolution."""
    return math.prod(shape[1:])


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise TicketError(f"the ticket holds the name {data[:40]!r}, which is not UTF-8") from None
