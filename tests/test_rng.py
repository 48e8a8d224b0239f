"""Streams: pure functions of what they are for, equal to numpy's own Philox, uniform."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tombola.errors import ArgumentError
from tombola.rng import RUN, Stream, check_seed, threshold, words_of

STREAM = Stream(7, "fc.weight", "weight", 2)
GOLDEN_WORDS = [
    3329756066,
    1606424730,
    4061880948,
    2287028207,
    370336276,
    1936368388,
    3576190089,
    3289017689,
    1683575391,
]


def test_golden_words() -> None:
    # These bits are in every ticket ever made: they must never change.
    assert STREAM.words(9).tolist() == GOLDEN_WORDS


def test_key_is_the_documented_hash() -> None:
    text = b"tombola/1" + b"".join(
        len(part).to_bytes(4, "little") + part for part in (b"7", b"fc.weight", b"weight", b"2")
    )
    digest = hashlib.sha256(text).digest()
    assert STREAM.key == (int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:16], "little"))


def test_words_are_the_halves_of_numpys_philox() -> None:
    raw = np.random.Philox(key=np.array(STREAM.key, dtype=np.uint64)).random_raw(4)
    halves = [half for value in raw.tolist() for half in (value & 0xFFFFFFFF, value >> 32)]
    assert STREAM.words(8).tolist() == halves


@given(st.integers(0, 2**64 - 1), st.lists(st.integers(0, 10**9), max_size=20))
def test_scattered_words_are_those_of_the_stream(seed: int, indices: list[int]) -> None:
    stream = Stream(seed, "a", "b")
    found = stream.words_at(indices)
    for index, word in zip(indices, found, strict=True):
        skipping = np.random.Philox(key=np.array(stream.key, dtype=np.uint64)).advance(index // 8)
        raw = int(skipping.random_raw(4)[index % 8 // 2])
        assert word == (raw >> 32 if index % 2 else raw & 0xFFFFFFFF)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 1000])
def test_dense_and_scattered_reading_agree(count: int) -> None:
    words = STREAM.words(count)
    assert words.dtype == np.uint32
    assert np.array_equal(STREAM.words_at(np.arange(count)), words)
    assert np.array_equal(STREAM.words_at(np.arange(0, count, 501)), words[::501])


@pytest.mark.parametrize(
    "other",
    [
        Stream(8, "fc.weight", "weight", 2),
        Stream(7, "fc.weigh", "weight", 2),
        Stream(7, "fc.weight", "score", 2),
        Stream(7, "fc.weight", "weight", 3),
        Stream(7, "fc.weightw", "eight", 2),
    ],
)
def test_every_part_of_the_key_matters(other: Stream) -> None:
    assert not np.array_equal(other.words(4), STREAM.words(4))


def test_words_are_uniform() -> None:
    words = STREAM.words(1 << 16)
    for bit in range(32):
        ones = int((words >> np.uint32(bit) & 1).sum())
        assert abs(ones - (1 << 15)) < 5 * 128  # five standard deviations


@given(st.integers(1, 500))
def test_permutation_holds_every_index_once(count: int) -> None:
    assert sorted(STREAM.permutation(count).tolist()) == list(range(count))


@given(st.integers(1, 1 << 16))
def test_integers_stay_below_their_bound(bound: int) -> None:
    drawn = STREAM.integers(64, bound)
    assert drawn.min() >= 0
    assert drawn.max() < bound


def test_integers_reach_every_value() -> None:
    assert set(STREAM.integers(500, 9).tolist()) == set(range(9))


def test_bernoulli_ends_are_certain() -> None:
    assert STREAM.bernoulli(1000, 1.0).all()
    assert not STREAM.bernoulli(1000, 0.0).any()
    assert abs(int(STREAM.bernoulli(100_000, 0.3).sum()) - 30_000) < 5 * 145


def test_threshold_counts_words() -> None:
    assert (threshold(0.0), threshold(0.5), threshold(1.0)) == (0, 1 << 31, 1 << 32)
    assert threshold(0.3) == 1288490189  # 0.3 · 2^32 = 1288490188.8, to the nearest


def test_words_below_a_limit() -> None:
    words = STREAM.words(RUN + 100)
    limit = int(words[RUN + 50])
    assert np.array_equal(STREAM.below(words.size, limit), words < limit)
    assert STREAM.below(9, 1 << 32).all()
    assert not STREAM.below(9, 0).any()


@given(st.integers(0, 100), st.integers(0, 50))
def test_reading_may_start_anywhere(start: int, count: int) -> None:
    assert np.array_equal(STREAM.words(count, start), STREAM.words(start + count)[start:])


def test_many_streams_at_once() -> None:
    # Groups that are read in sequence, scattered ones and empty ones, in no order.
    streams = [Stream(3, "a", "b", generation) for generation in range(6)]
    which = np.array([0] * 2000 + [1, 3, 5, 5, 4] * 3, dtype=np.int32)
    indices = np.concatenate([np.arange(2000)[::-1] * 3, np.arange(15) ** 5]).astype(np.int64)
    found = words_of(streams, which, indices)
    assert all(
        found[n] == streams[w].words(1, i)[0] for n, (w, i) in enumerate(zip(which, indices, strict=True))
    )


@pytest.mark.parametrize("seed", [-1, 1 << 64, 1.0, True, "0", None])
def test_bad_seeds_are_refused(seed: object) -> None:
    with pytest.raises(ArgumentError, match=r"seed must be an integer in \[0, 2\^64\), got"):
        check_seed(seed)  # type: ignore[arg-type]
    assert check_seed(2**64 - 1) == 2**64 - 1
