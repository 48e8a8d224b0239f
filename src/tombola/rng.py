"""(seed, tensor name, purpose, generation) -> a stream of random words.

The only file of the package that draws random numbers. A stream is numpy's Philox 4x64-10 counter
generator under a key that hashes what the numbers are for, so every word is a pure function of
(seed, name, purpose, generation, index): the same on every machine, device and framework version,
in whatever order the words are asked for.

>>> stream = Stream(seed=0, name="conv1.weight", purpose="weight", generation=0)
>>> stream.words(4).tolist() == stream.words_at([0, 1, 2, 3]).tolist()
True
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tombola.errors import ArgumentError

Words = npt.NDArray[np.uint32]

WORD_RANGE = 1 << 32
_KEY_DOMAIN = b"tombola/1"
_MASK32 = np.uint64(0xFFFFFFFF)
_SHIFT32 = np.uint64(32)
# Philox 4x64 constants (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
_MULTIPLIERS = (np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157))
_WEYL = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B))
_ROUNDS = 10
_WORDS_PER_BLOCK = 8
# One scattered word costs about as much as this many in sequence (measured on AVX-512 and AVX2).
_SCATTER_COST = 64
_CHUNK = 1 << 15


@dataclass(frozen=True)
class Stream:
    """An endless, index-addressed sequence of uniform 32-bit words.

    `seed` is an integer in [0, 2^64), `name` the tensor or thing drawn for, `purpose` what the
    numbers are used for, `generation` how many redraw rounds (or epochs) came before, >= 0.
    """

    seed: int
    name: str
    purpose: str
    generation: int = 0

    @property
    def key(self) -> tuple[int, int]:
        """The two 64-bit halves of the Philox key: the first 16 bytes of a SHA-256."""
        digest = hashlib.sha256(_KEY_DOMAIN)
        for part in (str(self.seed), self.name, self.purpose, str(self.generation)):
            data = part.encode()
            # Lengths keep ("a", "bc") and ("ab", "c") apart.
            digest.update(len(data).to_bytes(4, "little") + data)
        first = digest.digest()
        return int.from_bytes(first[:8], "little"), int.from_bytes(first[8:16], "little")

    def words(self, count: int) -> Words:
        """Words 0 … count - 1. Each 64-bit output of Philox gives two, the low half first."""
        bits = np.random.Philox(key=np.array(self.key, dtype=np.uint64))
        raw = bits.random_raw((count + 1) // 2)
        return raw.astype("<u8", copy=False).view("<u4")[:count].astype(np.uint32, copy=False)

    def words_at(self, indices: npt.ArrayLike) -> Words:
        """The words at the given flat indices, in time proportional to their number."""
        where = np.asarray(indices, dtype=np.int64)
        flat = where.reshape(-1)
        return words_of([self], np.zeros(flat.shape, dtype=np.intp), flat).reshape(where.shape)

    def bernoulli(self, count: int, probability: float) -> npt.NDArray[np.bool_]:
        """`count` independent coins, True with `probability`, exact to 2^-33."""
        return below(self.words(count), threshold(probability))

    def permutation(self, count: int) -> npt.NDArray[np.int64]:
        """A random order of 0 … count - 1: indices sorted by their word, ties by index."""
        return np.argsort(self.words(count), kind="stable").astype(np.int64)

    def integers(self, count: int, bound: int) -> npt.NDArray[np.int64]:
        """`count` integers in [0, bound), bound <= 2^16 (bias below 2^-16)."""
        scaled = self.words(count).astype(np.uint64) * np.uint64(bound)
        return (scaled >> _SHIFT32).astype(np.int64)


def check_seed(seed: int) -> int:
    """Return `seed`, or raise ArgumentError when it is not an integer in [0, 2^64)."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 1 << 64:
        raise ArgumentError(f"seed must be an integer in [0, 2^64), got {seed!r}")
    return int(seed)


def threshold(probability: float) -> int:
    """The number of 32-bit words, out of 2^32, on which a coin of `probability` shows True."""
    return round(probability * WORD_RANGE)


def below(words: Words, limit: int) -> npt.NDArray[np.bool_]:
    """Which words lie below `limit`, an integer in [0, 2^32]."""
    if limit >= WORD_RANGE:
        return np.ones(words.shape, dtype=np.bool_)
    return words < np.uint32(limit)


def seed_framework(stream: Stream) -> None:
    """Seed torch's own generators, which a user's model may draw from (dropout): repeatable on
    one machine only, so nothing that a ticket holds may come from them.
    """
    import torch

    low, high = (int(word) for word in stream.words(2))
    torch.manual_seed(high << 31 | low >> 1)


def words_of(
    streams: Sequence[Stream], which: npt.NDArray[np.integer], indices: npt.NDArray[np.int64]
) -> Words:
    """Word `indices[i]` of stream `streams[which[i]]`, for every i."""
    words = np.empty(indices.shape, dtype=np.uint32)
    counts = np.bincount(which, minlength=len(streams))
    scattered = np.ones(indices.shape, dtype=np.bool_)
    for number in np.flatnonzero(counts * _SCATTER_COST > indices.max(initial=0)).tolist():
        here = which == number  # so many of them that running through the stream is cheaper
        words[here] = streams[number].words(int(indices[here].max()) + 1)[indices[here]]
        scattered[here] = False
    left = np.flatnonzero(scattered)
    keys = np.array([stream.key for stream in streams], dtype=np.uint64).reshape(-1, 2)
    for start in range(0, left.size, _CHUNK):
        chunk = left[start : start + _CHUNK]
        words[chunk] = _scattered_words(keys[which[chunk]], indices[chunk])
    return words


def _scattered_words(keys: npt.NDArray[np.uint64], indices: npt.NDArray[np.int64]) -> Words:
    """One word for each index, under the key (row of `keys`) of its own."""
    blocks, slots = np.divmod(indices, _WORDS_PER_BLOCK)
    # numpy counts a block before it draws it.
    lanes = _philox_blocks(blocks.astype(np.uint64) + np.uint64(1), keys[:, 0], keys[:, 1])
    raw = np.choose(slots // 2, lanes)
    return np.where(slots % 2 == 0, raw & _MASK32, raw >> _SHIFT32).astype(np.uint32)


def _philox_blocks(
    counters: npt.NDArray[np.uint64], key0: npt.NDArray[np.uint64], key1: npt.NDArray[np.uint64]
) -> list[npt.NDArray[np.uint64]]:
    """The four 64-bit lanes of the Philox 4x64-10 block of each counter (high words zero)."""
    zero = np.zeros_like(counters)
    x0, x1, x2, x3 = counters, zero, zero, zero
    for _ in range(_ROUNDS):
        high0, low0 = _multiply(x0, _MULTIPLIERS[0])
        high1, low1 = _multiply(x2, _MULTIPLIERS[1])
        x0, x1, x2, x3 = high1 ^ x1 ^ key0, low1, high0 ^ x3 ^ key1, low0
        key0, key1 = key0 + _WEYL[0], key1 + _WEYL[1]
    return [x0, x1, x2, x3]


def _multiply(
    a: npt.NDArray[np.uint64], b: np.uint64
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """High and low 64 bits of the 128-bit products a * b, by 32-bit halves."""
    a_high, a_low = a >> _SHIFT32, a & _MASK32
    b_high, b_low = b >> _SHIFT32, b & _MASK32
    cross = (a_low * b_low >> _SHIFT32) + a_high * b_low
    middle = (cross & _MASK32) + a_low * b_high
    return a_high * b_high + (cross >> _SHIFT32) + (middle >> _SHIFT32), a * b
