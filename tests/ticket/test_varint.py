"""Numbers as bytes: the published examples, round trips, and every bad end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tombola import TicketError
from tombola.ticket.varint import LARGEST, Reader, write_number


@pytest.mark.parametrize(
    ("number", "data"),
    [
        (0, b"\0"),
        (127, b"\x7f"),
        (128, b"\x80\x01"),
        (624485, b"\xe5\x8e\x26"),
        (LARGEST, b"\xff" * 8 + b"\x7f"),
    ],
)
def test_by_hand(number: int, data: bytes) -> None:
    assert write_number(number) == data
    assert Reader(data, "x").number() == number


@given(st.lists(st.integers(0, LARGEST)))
def test_round_trip(numbers: list[int]) -> None:
    reader = Reader(b"".join(write_number(number) for number in numbers), "numbers")
    assert [reader.number() for _ in numbers] == numbers
    reader.end()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the ticket's counts end early"),
        (b"\x80\x80", "the ticket's counts end early"),
        (b"\x80" * 11 + b"\0", "hold a number above"),
        (b"\xff" * 9 + b"\x01", "hold a number above"),
    ],
)
def test_numbers_that_are_none(data: bytes, message: str) -> None:
    with pytest.raises(TicketError, match=message):
        Reader(data, "counts").number()


def test_limits() -> None:
    assert Reader(b"\x07", "x").number(7) == 7
    with pytest.raises(TicketError, match="the ticket's names hold a number above 6"):
        Reader(b"\x07", "names").number(6)
    reader = Reader(b"abc", "names")
    assert reader.take(2) == b"ab"
    with pytest.raises(TicketError, match="the ticket's names go on for 1 bytes after their end"):
        reader.end()
    with pytest.raises(TicketError, match="the ticket's names end early"):
        reader.take(2)
