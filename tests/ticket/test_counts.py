"""Counts as bytes: by hand, round trips, small where they can be, and every impossible one refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tombola import TicketError
from tombola.ticket.codec import TensorCounts
from tombola.ticket.counts import read_counts, write_counts


def test_by_hand() -> None:
    counts = [
        TensorCounts(0, ()),
        TensorCounts(300, ((0, 300),)),
        TensorCounts(300, (), flips=7),
        # Generations 0, 1 and 2, then 5: 100, 90, 95 and the 15 that are left.
        TensorCounts(300, ((0, 100), (1, 90), (2, 95), (5, 15))),
        TensorCounts(2, ((3, 2),)),
    ]
    kept = [0xAC, 0x02]
    runs = [3, 0, 3, 2, 1]
    more = [200, 1, 19, 10]  # +100 (zigzag 200), -10 (19), +5 (10)
    data = bytes([0, *kept, 0, *kept, 1, 7, *kept, *runs, *more, 2, 2, 3, 1])
    assert write_counts(counts) == data
    assert read_counts(data, [7, 300, 300, 301, 2]) == counts


generation_counts = st.dictionaries(
    st.integers(0, 40) | st.integers(0, 2**31 - 1), st.integers(1, 1000), min_size=1
).map(lambda numbers: TensorCounts(sum(numbers.values()), tuple(sorted(numbers.items()))))
flip_counts = st.integers(1, 1000).flatmap(
    lambda kept: st.integers(1, kept).map(lambda flips: TensorCounts(kept, (), flips))
)


@given(st.lists(generation_counts | flip_counts | st.just(TensorCounts(0, ()))))
def test_round_trip(counts: list[TensorCounts]) -> None:
    assert read_counts(write_counts(counts), [count.kept for count in counts]) == counts


def test_many_generations_take_about_a_byte_each() -> None:
    numbers = tuple((generation, 5000 + 30 * (generation % 3)) for generation in range(130))
    counts = TensorCounts(sum(number for _, number in numbers), numbers)
    assert len(write_counts([counts])) < 140


@pytest.mark.parametrize(
    ("data", "alive", "message"),
    [
        (b"", [3], "counts end early"),
        (b"\x80", [3], "counts end early"),
        (b"\x02", [3], "counts end early"),
        (b"\x04", [3], "keeps 4 weights of a tensor with 3 alive"),
        (b"\x02\x01\x00", [3], "flips 0 signs of 2 kept weights"),
        (b"\x02\x01\x03", [3], "flips 3 signs of 2 kept weights"),
        (b"\x02\x02\x00\x00", [3], "do not add up to 2 kept weights"),  # a run of nothing
        (b"\x02\x02\x00\x03\x02\x00", [3], "do not add up to 2 kept weights"),  # more than are kept
        (b"\x02\x02\x00\x02\x04", [3], "do not add up to 2 kept weights"),  # nothing left for the last
        (b"\x02\x02\x00\x02\x00", [3], "do not add up to 2 kept weights"),  # none of the first
        (b"\x02\x02\x00\x02\x01", [3], "do not add up to 2 kept weights"),  # fewer than none
        (b"\x01\x02\xff\xff\xff\xff\x0f\x01", [3], "do not add up to 1 kept weights"),  # beyond 2^31
        (b"\xff\xff\x7f\x02\x00\xff\xff\x7f", [2**31], "do not add up to"),  # a run without its counts
        (b"\x00\x00", [3], "counts go on for 1 bytes"),
        (b"\xff" * 9 + b"\x01", [3], "counts hold a number above"),
    ],
)
def test_impossible_counts_are_refused(data: bytes, alive: list[int], message: str) -> None:
    with pytest.raises(TicketError, match=message):
        read_counts(data, alive)
