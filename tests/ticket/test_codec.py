"""Code words: exact round trips, close to the entropy, no damaged word unnoticed."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tombola import TicketError
from tombola.rng import Stream
from tombola.ticket.codec import TensorCounts, TensorMask, decode, encode
from tombola.ticket.counts import read_counts, write_counts

GOLDEN_SIZE = 224
GOLDEN_HASH = "8dc0de7124dafa319cca0d3f2a15a3026489d503a7470551d5cc97197645dc7a"


def tensor_mask(seed: int, size: int, density: float, generations: int) -> TensorMask:
    kept = Stream(seed, "mask", "test").bernoulli(size, density)
    # Later generations are rarer, as they are in a search.
    drawn = Stream(seed, "generation", "test").integers(size, generations)
    numbers = np.minimum(drawn, drawn[::-1])[kept].astype(np.int32)
    return TensorMask(kept, numbers)


def same(a: TensorMask, b: TensorMask) -> bool:
    return np.array_equal(a.kept, b.kept) and np.array_equal(a.generations, b.generations)


masks = st.builds(
    tensor_mask,
    st.integers(0, 1000),
    st.integers(0, 300),
    st.sampled_from([0.0, 0.01, 0.3, 0.5, 0.99, 1.0]),
    st.integers(1, 9),
)


@given(st.lists(masks, max_size=5))
def test_round_trip(tensors: list[TensorMask]) -> None:
    words, counts = encode(tensors)
    sizes = [tensor.kept.size for tensor in tensors]
    assert read_counts(write_counts(counts), sizes) == counts
    found = decode(words, sizes, counts)
    assert all(same(a, b) for a, b in zip(tensors, found, strict=True))


def test_what_the_counts_tell_costs_no_words() -> None:
    tensors = [tensor_mask(0, 1000, density, 1) for density in (0.0, 1.0)]
    assert encode(tensors)[0].size == 0


def entropy_bits(numbers: np.ndarray) -> float:
    p = numbers[numbers > 0] / numbers.sum()
    return float(-(p * np.log2(p)).sum() * numbers.sum())


@pytest.mark.parametrize("density", [0.01, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("generations", [1, 20])
def test_size_is_near_the_entropy(density: float, generations: int) -> None:
    tensor = tensor_mask(1, 200_000, density, generations)
    words, counts = encode([tensor])
    kept = counts[0].kept
    bound = entropy_bits(np.array([kept, 200_000 - kept])) + entropy_bits(np.bincount(tensor.generations))
    assert 32 * words.size <= 1.005 * bound + 64
    assert 32 * words.size >= bound - 64  # less would mean that something is missing


def test_words_that_disagree_with_the_counts_are_refused() -> None:
    words, _ = encode([tensor_mask(2, 500, 0.4, 1)])
    wrong = TensorCounts(100, ((0, 100),))
    with pytest.raises(TicketError, match="as many weights as its counts say|damaged"):
        decode(words, [500], [wrong])


@pytest.mark.parametrize(
    ("data", "alive", "message"),
    [
        (b"", [3], "counts end early"),
        (b"\x80", [3], "counts end early"),
        (b"\x02", [3], "counts end early"),
        (b"\x04", [3], "keeps 4 weights of a tensor with 3 alive"),
        (b"\x02\x00", [3], "names 0 generations for 2 kept weights"),
        (b"\x02\x03", [3], "names 3 generations for 2 kept weights"),
        (b"\x02\x02\x00\x02\x01", [3], "do not add up to 2 kept weights"),
        (b"\x02\x02\x00\x01\x00", [3], "do not add up to 2 kept weights"),
        (b"\x02\x02\x00\x00\x01", [3], "do not add up to 2 kept weights"),
        (b"\x01\x01\xff\xff\xff\xff\x0f", [3], "do not add up to 1 kept weights"),
        (b"\x00\x00", [3], "counts more tensors than it names"),
        (b"\xff" * 9 + b"\x01", [3], "a count that is too large"),
    ],
)
def test_impossible_counts_are_refused(data: bytes, alive: list[int], message: str) -> None:
    with pytest.raises(TicketError, match=message):
        read_counts(data, alive)


def test_counts_by_hand() -> None:
    counts = [TensorCounts(0, ()), TensorCounts(300, ((0, 200), (5, 100)))]
    data = bytes([0, 0xAC, 0x02, 2, 0, 0xC8, 0x01, 5])
    assert write_counts(counts) == data
    assert read_counts(data, [7, 300]) == counts


def test_golden_words() -> None:
    # Whatever changes these makes every ticket unreadable: another version of the coder, other
    # probabilities, another order.
    words, _ = encode([tensor_mask(3, 5000, 0.3, 4), tensor_mask(4, 700, 0.05, 2)])
    assert words.size == GOLDEN_SIZE
    assert hashlib.sha256(words.astype("<u4").tobytes()).hexdigest() == GOLDEN_HASH
