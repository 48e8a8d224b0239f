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
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from tombola.errors import ArgumentError
from tombola.philox import U64, philox_blocks

Words = npt.NDArray[np.uint32]

WORD_RANGE = 1 << 32
# How many words of a stream are drawn at once: enough for speed, few enough for little memory.
RUN = 1 << 18
_KEY_DOMAIN = b"tombola/1"
_SHIFT32 = np.uint64(32)
_WORDS_PER_BLOCK = 8
_BLOCK_BITS = np.uint64(3)
# One scattered word costs about as much as this many in sequence (measured on AVX-512 and AVX2), and
# to start reading in sequence as much as this many.
_SCATTER_COST = 64
_START_COST = 1 << 14
# For so few scattered words a generator each is cheaper than hundreds of operations on short arrays.
_FEW = 16
# Scattered words are drawn by so many at once that the dozen arrays stay in a core's cache.
_CHUNK = 1 << 14


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
        return _key(self.seed, self.name, self.purpose, self.generation)

    def words(self, count: int, start: int = 0) -> Words:
        """Words `start` … start + count - 1, in time proportional to `count`. Each 64-bit output of
        Philox gives two words, the low half first.
        """
        block, skipped = divmod(start, _WORDS_PER_BLOCK)
        bits = np.random.Philox(key=np.array(self.key, dtype=np.uint64), counter=block)
        raw = bits.random_raw((skipped + count + 1) // 2)
        words = raw.astype("<u8", copy=False).view("<u4")[skipped : skipped + count]
        return words.astype(np.uint32, copy=False)

    def words_at(self, indices: npt.ArrayLike) -> Words:
        """The words at the given flat indices, in time proportional to their number."""
        where = np.asarray(indices, dtype=np.int64)
        flat = where.reshape(-1)
        return words_of([self], np.zeros(flat.shape, dtype=np.intp), flat).reshape(where.shape)

    def bernoulli(self, count: int, probability: float) -> npt.NDArray[np.bool_]:
        """`count` independent coins, True with `probability`, exact to 2^-33."""
        return self.below(count, threshold(probability))

    def below(self, count: int, limit: int) -> npt.NDArray[np.bool_]:
        """Which of the first `count` words lie below `limit`, an integer in [0, 2^32]."""
        found = np.ones(count, dtype=np.bool_)
        if limit < WORD_RANGE:
            for start in range(0, count, RUN):
                part = found[start : start + RUN]
                np.less(self.words(part.size, start), np.uint32(limit), out=part)
        return found

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


def seed_framework(stream: Stream) -> None:
    """Seed torch's own generators, which a user's model may draw from (dropout): repeatable on
    one machine only, so nothing that a ticket holds may come from them.
    """
    import torch

    low, high = (int(word) for word in stream.words(2))
    torch.manual_seed(high << 31 | low >> 1)


@lru_cache(maxsize=1 << 12)
def _key(*parts: object) -> tuple[int, int]:
    digest = hashlib.sha256(_KEY_DOMAIN)
    for part in parts:
        data = str(part).encode()
        # Lengths keep ("a", "bc") and ("ab", "c") apart.
        digest.update(len(data).to_bytes(4, "little") + data)
    first = digest.digest()
    return int.from_bytes(first[:8], "little"), int.from_bytes(first[8:16], "little")


def words_of(
    streams: Sequence[Stream], which: npt.NDArray[np.integer], indices: npt.NDArray[np.int64]
) -> Words:
    """Word `indices[i]` of stream `streams[which[i]]`, for every i."""
    # numpy sorts numbers of 16 bits by radix, in a tenth of the time.
    which = which.astype(np.uint16) if len(streams) <= 1 << 16 else which
    order = np.argsort(which, kind="stable")
    ends = np.cumsum(np.bincount(which, minlength=len(streams))).tolist()
    sorted_indices = indices[order]
    sorted_words = np.empty(indices.shape, dtype=np.uint32)
    scattered = np.ones(indices.shape, dtype=np.bool_)
    for stream, start, end in zip(streams, [0, *ends], ends, strict=False):
        group = sorted_indices[start:end]
        first, last = (int(group.min()), int(group.max())) if end > start else (0, 0)
        if last - first + _START_COST < group.size * _SCATTER_COST:  # running through them is cheaper
            sorted_words[start:end] = stream.words(last - first + 1, first)[group - first]
            scattered[start:end] = False
    left = np.flatnonzero(scattered)
    if left.size <= _FEW:
        for position in left.tolist():
            stream = streams[which[order[position]]]
            sorted_words[position] = stream.words(1, int(sorted_indices[position]))[0]
        left = left[:0]
    keys = np.array([stream.key for stream in streams], dtype=np.uint64).reshape(-1, 2)
    low, high = keys[:, 0].copy(), keys[:, 1].copy()
    sorted_which = which[order]
    for begin in range(0, left.size, _CHUNK):
        chunk = left[begin : begin + _CHUNK]
        mine = sorted_which[chunk]
        sorted_words[chunk] = _scattered_words(low[mine], high[mine], sorted_indices[chunk])
    words = np.empty_like(sorted_words)
    words[order] = sorted_words
    return words


def _scattered_words(key0: U64, key1: U64, indices: npt.NDArray[np.int64]) -> Words:
    """One word for each index, under the key beside it."""
    positions = indices.astype(np.uint64)
    # numpy counts a block before it draws it.
    lanes = np.stack(philox_blocks((positions >> _BLOCK_BITS) + np.uint64(1), key0, key1))
    slots = indices & (_WORDS_PER_BLOCK - 1)
    raw = lanes[slots >> 1, np.arange(indices.size)]
    # The low half of a lane for even slots, the high half for odd ones.
    words: Words = (raw >> ((positions & np.uint64(1)) << np.uint64(5))).astype(np.uint32)
    return words
