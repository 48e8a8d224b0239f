"""Code words: exact round trips, close to the entropy, no damaged word unnoticed."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tombola import TicketError
from tombola.rng import Stream
from tombola.ticket.codec import TensorCounts, TensorMask, decode, encode, narrow
from tombola.ticket.counts import read_counts, write_counts

GOLDEN_SIZE = 224
GOLDEN_HASH = "8dc0de7124dafa319cca0d3f2a15a3026489d503a7470551d5cc97197645dc7a"


def tensor_mask(seed: int, size: int, density: float, generations: int) -> TensorMask:
    """A random mask, with so many generations; with 0, sign flips."""
    kept = Stream(seed, "mask", "test").bernoulli(size, density)
    if generations == 0 and kept.any():
        return TensorMask(kept, with_a_flip(Stream(seed, "flip", "test").bernoulli(size, 0.2)[kept]))
    generations = max(generations, 1)
    # Later generations are rarer, as they are in a search.
    drawn = Stream(seed, "generation", "test").integers(size, generations)
    return TensorMask(kept, narrow(np.minimum(drawn, drawn[::-1])[kept]))


def with_a_flip(flips: np.ndarray) -> np.ndarray:
    flips[:1] = True  # where no sign is flipped, a ticket speaks of generation 0
    return flips


def same(a: TensorMask, b: TensorMask) -> bool:
    return (
        np.array_equal(a.kept, b.kept)
        and np.array_equal(a.redraws, b.redraws)
        and a.redraws.dtype == b.redraws.dtype
    )


masks = st.builds(
    tensor_mask,
    st.integers(0, 1000),
    st.integers(0, 300),
    st.sampled_from([0.0, 0.01, 0.3, 0.5, 0.99, 1.0]),
    st.integers(0, 9),
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
@pytest.mark.parametrize("generations", [0, 1, 20])
def test_size_is_near_the_entropy(density: float, generations: int) -> None:
    tensor = tensor_mask(1, 200_000, density, generations)
    words, counts = encode([tensor])
    kept = counts[0].kept
    bound = entropy_bits(np.array([kept, 200_000 - kept])) + entropy_bits(np.bincount(tensor.redraws))
    assert 32 * words.size <= 1.005 * bound + 64
    assert 32 * words.size >= bound - 64  # less would mean that something is missing


def test_words_that_disagree_with_the_counts_are_refused() -> None:
    words, counts = encode([tensor_mask(2, 500, 0.4, 1)])
    wrong = TensorCounts(100, ((0, 100),))
    with pytest.raises(TicketError, match="as many weights as its counts say|code words"):
        decode(words, [500], [wrong])
    close = TensorCounts(counts[0].kept + 1, ((0, counts[0].kept + 1),))
    with pytest.raises(TicketError, match="as many weights as its counts say"):
        decode(words, [500], [close])


def test_too_few_or_too_many_words_are_refused_before_any_is_decoded() -> None:
    words, counts = encode([tensor_mask(2, 5000, 0.4, 3)])
    for wrong in (words[: words.size // 2], np.tile(words, 2)):
        with pytest.raises(
            TicketError, match=f"holds {wrong.size} code words, where its counts ask for about"
        ):
            decode(wrong, [5000], counts)
    # As many symbols as no machine could hold: nothing may be allocated for them.
    half = TensorCounts(1 << 59, ((0, 1 << 59),))
    with pytest.raises(TicketError, match="code words, where its counts ask for"):
        decode(words, [1 << 60], [half])


def probabilities(numbers: list[int]) -> list[int]:
    """How many of 2^24 parts each symbol gets, as docs/format.md says."""
    scale = (2**24 - len(numbers)) / sum(numbers)
    left = [int(sum(numbers[:rank]) * scale) + rank for rank in range(len(numbers))]
    return [after - before for before, after in pairwise([*left, 2**24])]


def decoded_by_hand(words: list[int], count: int, numbers: list[int]) -> list[int]:
    """The range decoder of docs/format.md, in plain integers."""
    mask64 = (1 << 64) - 1
    padded = [*words, 0, 0]
    point, at, lower, width = padded[0] << 32 | padded[1], 2, 0, mask64
    parts = probabilities(numbers)
    symbols = []
    for _ in range(count):
        scale = width >> 24
        quantile = ((point - lower) & mask64) // scale
        symbol, left = 0, 0
        while left + parts[symbol] <= quantile:
            left += parts[symbol]
            symbol += 1
        symbols.append(symbol)
        lower, width = (lower + scale * left) & mask64, scale * parts[symbol]
        if width < 1 << 32:
            lower, width = lower << 32 & mask64, width << 32
            point = (point << 32 | (padded[at] if at < len(padded) else 0)) & mask64
            at += 1
    return symbols


@given(st.lists(st.integers(0, 6), min_size=2, max_size=300).filter(lambda values: len(set(values)) > 1))
def test_the_coder_is_the_documented_one(values: list[int]) -> None:
    ranks = np.unique(values, return_inverse=True)[1].astype(np.int32)
    tensor = TensorMask(np.ones(ranks.size, dtype=np.bool_), ranks)
    words, _ = encode([tensor])
    assert decoded_by_hand(words.tolist(), ranks.size, np.bincount(ranks).tolist()) == ranks.tolist()


def test_golden_words() -> None:
    # Whatever changes these makes every ticket unreadable: another version of the coder, other
    # probabilities, another order.
    words, _ = encode([tensor_mask(3, 5000, 0.3, 4), tensor_mask(4, 700, 0.05, 2)])
    assert words.size == GOLDEN_SIZE
    assert hashlib.sha256(words.astype("<u4").tobytes()).hexdigest() == GOLDEN_HASH


def test_a_code_of_very_many_generations_is_not_too_long() -> None:
    # Each symbol takes a part of 2^24 beside its share, which tells when they are a million.
    rare, common = 1 << 18, 1 << 20
    numbers = np.zeros(common + rare, dtype=np.int32)
    numbers[:rare] = np.arange(1, rare + 1)
    tensor = TensorMask(np.ones(numbers.size, dtype=np.bool_), narrow(numbers))
    words, counts = encode([tensor])
    assert same(decode(words, [numbers.size], counts)[0], tensor)
