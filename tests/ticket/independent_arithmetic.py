"""The arithmetic of the independent reader: numbers, range coder, Philox and float32, in plain integers.

Written from docs/format.md alone, with nothing but Python's standard library (see `independent_reader.py`).
"""

from __future__ import annotations

import hashlib
import math
import struct
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache
from itertools import takewhile
from pathlib import Path

U32, U64 = 2**32 - 1, 2**64 - 1
QUANTILES = Path(__file__).parents[2] / "src/tombola/source/normal_quantiles.f32"


class RefusedError(ValueError):
    """The file is not a ticket that docs/format.md allows."""


def require(condition: bool, reason: str) -> None:
    if not condition:
        raise RefusedError(reason)


class Cursor:
    """Bytes read from the front (section 1)."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        require(count <= len(self.data) - self.at, "an array ends early")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self) -> int:
        value = 0
        for shift in range(0, 63, 7):
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            if byte < 128:
                require(byte > 0 or shift == 0, "a number takes more bytes than it needs")
                return value
        raise RefusedError("a number of 2^63 or more")

    def end(self) -> None:
        require(self.at == len(self.data), "bytes left over in an array")


class RangeDecoder:
    def __init__(self, code: bytes) -> None:
        self.words = struct.unpack(f"<{len(code) // 4}I", code)
        self.lower, self.width, self.used, self.coded = 0, U64, 2, False
        self.point = self._word(0) << 32 | self._word(1)

    def _word(self, index: int) -> int:
        return self.words[index] if index < len(self.words) else 0

    def sequence(self, counts: Sequence[int]) -> list[int]:
        """The symbols of a sequence in which symbol i occurs counts[i] times."""
        if max(counts, default=0) == sum(counts):
            return [i for i, count in enumerate(counts) for _ in range(count)]
        lefts = left_ends(counts)
        symbols = [self._symbol(lefts) for _ in range(sum(counts))]
        seen = [0] * len(counts)
        for symbol in symbols:
            seen[symbol] += 1
        require(seen == list(counts), "decoded symbols disagree with their counts")
        return symbols

    def _symbol(self, lefts: list[int]) -> int:
        self.coded = True
        scale = self.width >> 24
        quantile = (self.point - self.lower & U64) // scale
        require(quantile < 2**24, "the code is damaged")
        symbol = bisect_right(lefts, quantile) - 1
        self.lower = self.lower + scale * lefts[symbol] & U64
        self.width = scale * (lefts[symbol + 1] - lefts[symbol])
        if self.width <= U32:
            self.lower, self.width = self.lower << 32 & U64, self.width << 32
            self.point = (self.point << 32 & U64) | self._word(self.used)
            self.used += 1
        return symbol

    def end(self) -> None:
        """The words are those with which an encoder that ends in this state ends, no fewer and no more."""
        sealed = self.lower + U32 & U64
        same = (self.lower + self.width & U64) >> 32 == sealed >> 32
        expected = self.used - 1 + same if self.coded else 0
        require(len(self.words) == expected, "code words too few or too many")
        require(not self.coded or self.point == sealed & ~U32, "the code ends as no encoder ends it")


def left_ends(counts: Sequence[int]) -> list[int]:
    # Counts are below 2^53, so Python's conversions to float64 are exact.
    scale = float(2**24 - len(counts)) / float(sum(counts))
    lefts, before = [], 0
    for i, count in enumerate(counts):
        lefts.append(math.floor(float(before) * scale) + i)
        before += count
    return [*lefts, 2**24]


# --- Random words (section 6) ------------------------------------------------------------------------------


class Stream:
    def __init__(self, seed: int, name: bytes, purpose: str, generation: int) -> None:
        parts = (str(seed).encode(), name, purpose.encode(), str(generation).encode())
        text = b"tombola/1" + b"".join(struct.pack("<I", len(part)) + part for part in parts)
        self.key: tuple[int, int] = struct.unpack("<QQ", hashlib.sha256(text).digest()[:16])
        self.block, self.lanes = -1, (0, 0, 0, 0)

    def word(self, i: int) -> int:
        if i // 8 != self.block:
            self.block, self.lanes = i // 8, philox((i // 8 + 1, 0, 0, 0), self.key)
        return self.lanes[i % 8 // 2] >> i % 2 * 32 & U32


def philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(10):
        p0, p1 = c0 * 0xD2E7470EE14C6C93, c2 * 0xCA5A826395121157
        c0, c1, c2, c3 = p1 >> 64 ^ c1 ^ k0, p1 & U64, p0 >> 64 ^ c3 ^ k1, p0 & U64
        k0, k1 = k0 + 0x9E3779B97F4A7C15 & U64, k1 + 0xBB67AE8584CAA73B & U64
    return c0, c1, c2, c3


# --- Weights and the network (sections 7 and 8) ------------------------------------------------------------


def to_bits(value: float) -> int:
    bits: int = struct.unpack("<I", struct.pack("<f", value))[0]
    return bits


def to_float(bits: int) -> float:
    value: float = struct.unpack("<f", struct.pack("<I", bits))[0]
    return value


def f32(value: float) -> float:
    """`value` rounded to float32.

    Of a product of two float32 this is the float32 product: 24 by 24 significant bits are at most 48, which
    a float64 holds exactly (and no exponent here is near a limit), so nothing is rounded twice.
    """
    return to_float(to_bits(value))


@cache
def quantiles() -> tuple[float, ...]:
    return struct.unpack(f"<{2**16}f", QUANTILES.read_bytes())


def common(one: bytes, other: bytes) -> int:
    """How many bytes two names share from their beginning."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
