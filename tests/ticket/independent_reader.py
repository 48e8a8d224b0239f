"""A second reader of tickets, from docs/format.md alone: the standard library, and nothing of tombola's.

It goes word by word, so it is for small tickets. What a writer MUST do is checked wherever reading meets
it, so that this reader refuses what Tombola's refuses by encoding again. Sections are those of format.md.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from independent_arithmetic import (
    Cursor,
    RangeDecoder,
    RefusedError,
    Stream,
    common,
    f32,
    quantiles,
    require,
    to_bits,
    to_float,
)

RANDOM, ZERO, ONE, VALUE, STATISTIC = range(5)
DISTRIBUTIONS = ("signed_constant", "kaiming_uniform", "kaiming_normal", "uniform")

Tensors = dict[str, tuple[tuple[int, ...], list[int]]]  # shape, and float32 bit patterns in flat order


@dataclass(frozen=True)
class Entry:
    """One entry of the recipe (section 3); what belongs to another kind keeps its default."""

    name: bytes
    kind: int
    shape: tuple[int, ...]
    fan_in: float = 0.0
    fan_density: float = 1.0
    alive_words: int = 2**32
    alive_count: int | None = None
    value_bits: int = 0

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Redraws:
    """The counts of one random tensor (section 4)."""

    kept: int
    flips: int = 0
    generations: Sequence[int] = (0,)
    counts: Sequence[int] = ()


@dataclass
class IndependentTicket:
    """What a ticket holds, and the digest of it as computed here."""

    seed: int
    distribution: str
    metadata: dict[str, str]
    stored_digest: str
    random: Tensors = field(default_factory=dict)
    fixed: Tensors = field(default_factory=dict)
    statistics: Tensors = field(default_factory=dict)
    masks: dict[str, list[bool]] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Section 9."""
        sha = hashlib.sha256()
        for tensors in (self.random, self.fixed, self.statistics):
            for name, (shape, bits) in tensors.items():
                for text in (name.encode(), ",".join(map(str, shape)).encode()):
                    sha.update(struct.pack("<Q", len(text)) + text)
                sha.update(struct.pack(f"<{len(bits)}I", *bits))
        return sha.hexdigest()


def read_ticket(data: bytes, max_weights: int = 2**20) -> IndependentTicket:
    """The network and the metadata of a ticket; RefusedError for what the format does not allow."""
    strings, arrays = read_container(data)
    recipe = Cursor(arrays["recipe"])
    seed: int = struct.unpack("<Q", recipe.take(8))[0]
    distribution = recipe.take(recipe.number()).decode("ascii", "replace")
    require(distribution in DISTRIBUTIONS, f"unknown distribution {distribution!r}")
    entries = read_entries(recipe)
    require(sum(e.size for e in entries if e.kind != STATISTIC) <= max_weights, "too many weights")

    metadata = {key[9:]: text for key, text in strings.items() if key.startswith("metadata.")}
    ticket = IndependentTicket(seed, distribution, metadata, strings["digest"])
    counts, code = Cursor(arrays["counts"]), RangeDecoder(arrays["code"])
    for entry in (e for e in entries if e.kind == RANDOM):
        read_random(entry, ticket, counts, code)
    counts.end()
    code.end()
    for entry in (e for e in entries if ZERO <= e.kind <= VALUE):
        ticket.fixed[entry.name.decode()] = (entry.shape, [entry.value_bits] * entry.size)
    read_statistics([e for e in entries if e.kind == STATISTIC], arrays["statistics"], ticket)
    return ticket


# --- Container and checksum (sections 2 and 9) -------------------------------------------------------------


def read_container(data: bytes) -> tuple[dict[str, str], dict[str, bytes]]:
    require(len(data) >= 8, "not a ticket")
    length = struct.unpack("<Q", data[:8])[0]
    require(length <= min(2**24, len(data) - 8), "not a ticket: no header")
    text = data[8 : 8 + length]
    try:
        header = json.loads(text.decode("ascii"))
        strings = dict(header.pop("__metadata__"))
        check_strings(strings)
        spans = [header[name]["data_offsets"] for name in ("code", "statistics", "counts", "recipe")]
        sizes = [end - start for start, end in spans]
    except RefusedError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RefusedError(f"not a ticket: {error!r}") from error
    # All that a header may say follows from the strings and the sizes: it is compared with that, as bytes.
    require(text == make_header(strings, sizes), "the header is not of the one form")
    require(sum(sizes) == len(data) - 8 - length, "bytes that no array owns, or too few")
    # "__metadata__" and in it "checksum" sort first, so the digits lie at the same place in every ticket.
    start = 8 + len('{"__metadata__":{"checksum":"')
    blank = data[:start] + b"0" * 64 + data[start + 64 :]
    require(hashlib.sha256(blank).hexdigest() == strings["checksum"], "damaged: the checksum differs")
    body = data[8 + length :]
    return strings, {name: body[slice(*span)] for name, span in zip(ORDER, spans, strict=True)}


ORDER = {"code": ("U32", 4), "statistics": ("F32", 4), "counts": ("U8", 1), "recipe": ("U8", 1)}


def make_header(strings: dict[str, str], sizes: Sequence[int]) -> bytes:
    header: dict[str, object] = {"__metadata__": strings}
    offset = 0
    for (name, (dtype, width)), size in zip(ORDER.items(), sizes, strict=True):
        whole = isinstance(size, int) and size >= 0 and size % width == 0
        require(whole, f"array {name} has no whole number of entries")
        offsets = [offset, offset := offset + size]
        header[name] = {"dtype": dtype, "shape": [size // width], "data_offsets": offsets}
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode("ascii")
    return text + b" " * (-len(text) % 8)


def check_strings(strings: dict[str, str]) -> None:
    require(strings.get("format") == "tombola", "not a ticket")
    # Before all else, for nothing is known of another version (section 10).
    version = strings.get("version")
    require(version == "1", f"version {version!r} is not known here")
    require(all(isinstance(text, str) for text in strings.values()), "metadata that is no string")
    for key in ("checksum", "digest"):
        digits = strings.get(key, "")
        require(len(digits) == 64 and set(digits) <= set("0123456789abcdef"), f"no {key} of 64 digits")
    own = {key[9:]: text for key, text in strings.items() if key.startswith("metadata.")}
    require(len(own) + 4 == len(strings), "an unknown key")
    try:
        size = sum(len(key.encode()) + len(text.encode()) for key, text in own.items())
    except UnicodeEncodeError as error:
        raise RefusedError("a lone surrogate") from error
    require(size <= 2**20, "metadata are too long")


# --- Recipe (section 3) ------------------------------------------------------------------------------------


def read_entries(recipe: Cursor) -> list[Entry]:
    number = recipe.number()
    require(number <= 2**16, "too many entries")
    entries: list[Entry] = []
    for _ in range(number):
        entries.append(read_entry(recipe, entries[-1] if entries else None))
    recipe.end()
    require(len({e.name for e in entries}) == number, "a name is used twice")
    require(any(e.kind == RANDOM for e in entries), "no random tensor")
    require([e.name for e in entries] == merged(entries), "entries are not in the writer's order")
    return entries


def read_entry(recipe: Cursor, before: Entry | None) -> Entry:
    name = read_name(recipe, before.name if before else b"")
    tag = recipe.take(1)[0]
    kind, flags = tag & 7, tag & ~7
    require(kind <= STATISTIC and flags & ~(248 if kind == RANDOM else 8) == 0, "an unknown kind or flag")
    shape = read_shape(recipe, before.shape if before else None, bool(flags & 8))
    if kind == RANDOM:
        return read_random_entry(recipe, name, shape, flags)
    if kind != VALUE:
        return Entry(name, kind, shape, value_bits=to_bits(1.0 if kind == ONE else 0.0))
    bits = struct.unpack("<I", recipe.take(4))[0]
    require(math.isfinite(to_float(bits)), "a fixed value is not finite")
    require(bits not in (0, to_bits(1.0)), "kinds 1 and 2 say this value")
    return Entry(name, kind, shape, value_bits=bits)


def read_shape(recipe: Cursor, before: tuple[int, ...] | None, same: bool) -> tuple[int, ...]:
    if same:
        if before is None:
            raise RefusedError("the first entry has no entry before")
        return before
    dimensions = recipe.number()
    require(dimensions <= 8, "too many dimensions")
    shape = tuple(recipe.number() for _ in range(dimensions))
    require(math.prod(size or 1 for size in shape) <= 2**40, "a shape is too large")
    require(shape != before, "flag 8 is not set")
    return shape


def read_name(recipe: Cursor, before: bytes) -> bytes:
    shared = recipe.number()
    require(shared <= len(before), "a name shares more than there is")
    name = before[:shared] + recipe.take(recipe.number())
    require(len(name) <= 1024, "a name is too long")
    require(shared == common(name, before), "a name shares more than it says")
    try:
        name.decode()
    except UnicodeDecodeError as error:
        raise RefusedError("a name is not UTF-8") from error
    return name


def read_random_entry(recipe: Cursor, name: bytes, shape: tuple[int, ...], flags: int) -> Entry:
    usual = fan_in = float(math.prod(shape[1:]))
    density, alive = 1.0, 2**32
    if flags & 16:
        fan_in = struct.unpack("<d", recipe.take(8))[0]
        require(fan_in != usual, "flag 16 for the usual fan-in")
    if flags & 32:
        density = struct.unpack("<d", recipe.take(8))[0]
        require(density != 1, "flag 32 for a fan density of 1")
    if flags & 64:
        alive = recipe.number()
        require(alive < 2**32, "too many alive words")
    count = None
    if flags & 128:
        count = recipe.number()
        require(count < math.prod(shape) and not flags & 64, "too many alive, or words and count of them")
    require(2.0**-31 <= fan_in <= 2.0**31 and 2.0**-31 <= density <= 1, "fan-in or density out of range")
    return Entry(name, RANDOM, shape, fan_in, density, alive, count)


def merged(entries: Iterable[Entry]) -> list[bytes]:
    """The names in the order in which a writer merges the three lists."""
    lists: list[list[bytes]] = [[], [], []]
    for entry in reversed(list(entries)):
        lists[(0, 1, 1, 1, 2)[entry.kind]].append(entry.name)
    names = [b""]
    while heads := [names_left for names_left in lists if names_left]:
        names.append(max(heads, key=lambda left: common(left[-1], names[-1])).pop())
    return names[1:]


# --- Counts (section 4) ------------------------------------------------------------------------------------


def read_redraws(counts: Cursor, alive: int, distribution: str) -> Redraws:
    kept = counts.number()
    require(kept <= alive, "more weights are kept than alive")
    what = counts.number() if kept else 0
    if what == 0:
        return Redraws(kept, counts=(kept,))
    if what == 1:
        require(distribution == "signed_constant", "sign flips of another distribution")
        flips = counts.number()
        require(1 <= flips <= kept, "sign flips out of range")
        return Redraws(kept, flips, counts=(kept - flips, flips))
    generations = read_generations(counts, what - 1, kept)
    require(generations != [0], "generation 0 alone is f = 0")
    return Redraws(kept, 0, generations, read_generation_counts(counts, len(generations), kept))


def read_generations(counts: Cursor, runs: int, kept: int) -> list[int]:
    generations: list[int] = []
    for run in range(runs):
        gap, length = counts.number(), counts.number()
        start = gap + (generations[-1] + 1 if generations else 0)
        require(length >= 1 and (gap >= 1 or run == 0), "an empty run or gap")
        require(len(generations) + length <= kept, "more generations than kept weights")
        require(start + length <= 2**31, "a generation out of range")
        generations += range(start, start + length)
    require(len(generations) <= 2**24 - 2, "more generations than the code can tell apart")
    return generations


def read_generation_counts(counts: Cursor, number: int, kept: int) -> list[int]:
    result: list[int] = []
    for _ in range(number - 1):
        z = counts.number()
        result.append((result[-1] if result else 0) + (-(z + 1) // 2 if z & 1 else z // 2))
    result.append(kept - sum(result))
    require(min(result) >= 1, "a generation without weights")
    return result


# --- Code (section 5) --------------------------------------------------------------------------------------


def weight(distribution: str, word: int, entry: Entry) -> float:
    uniform = (2 * (word >> 9) + 1 - 2**23) * 2.0**-23
    sign = -1.0 if word & 1 else 1.0
    if distribution == "signed_constant":
        result = sign * f32(math.sqrt(2 / entry.fan_in))
    elif distribution == "kaiming_uniform":
        result = f32(uniform * f32(math.sqrt(6 / entry.fan_in)))
    elif distribution == "kaiming_normal":
        result = sign * f32(quantiles()[word >> 16] * f32(math.sqrt(2 / entry.fan_in)))
    else:
        result = uniform
    return result if entry.fan_density == 1 else f32(result * f32(1 / math.sqrt(entry.fan_density)))


def read_random(entry: Entry, ticket: IndependentTicket, counts: Cursor, code: RangeDecoder) -> None:
    """Masks, redraws and weights of one random tensor: the counts and the code go tensor by tensor."""
    source = Stream(ticket.seed, entry.name, "source", 0)
    alive = list(range(entry.size))
    if entry.alive_count is not None:
        alive = sorted(sorted(alive, key=source.word)[: entry.alive_count])  # sorting is stable
    elif entry.alive_words < 2**32:
        alive = [i for i in alive if source.word(i) < entry.alive_words]
    redraws = read_redraws(counts, len(alive), ticket.distribution)
    is_kept = code.sequence((len(alive) - redraws.kept, redraws.kept))
    kept = [i for i, symbol in zip(alive, is_kept, strict=True) if symbol]
    redrawn = code.sequence(redraws.counts)
    streams = [Stream(ticket.seed, entry.name, "weight", g) for g in redraws.generations]
    bits = [0] * entry.size
    for i, symbol in zip(kept, redrawn, strict=True):
        stream = streams[0 if redraws.flips else symbol]
        flip = symbol << 31 if redraws.flips else 0
        bits[i] = to_bits(weight(ticket.distribution, stream.word(i), entry)) ^ flip
    name, positions = entry.name.decode(), set(kept)
    ticket.random[name] = (entry.shape, bits)
    ticket.masks[name] = [i in positions for i in range(entry.size)]


def read_statistics(entries: Iterable[Entry], data: bytes, ticket: IndependentTicket) -> None:
    cursor = Cursor(data)
    for entry in entries:
        bits = list(struct.unpack(f"<{entry.size}I", cursor.take(4 * entry.size)))
        require(all(map(math.isfinite, map(to_float, bits))), "a statistic is not finite")
        ticket.statistics[entry.name.decode()] = (entry.shape, bits)
    cursor.end()
