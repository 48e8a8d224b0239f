"""Random damage to golden tickets: TicketError is all that leaves, within the memory that is promised.

The same checks as in `tests/fuzz`, which goes on for as long as one likes.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import Parts, is_sealed, resealed
from opening import Tally, open_ticket

GOLDEN = sorted((Path(__file__).parent.parent / "golden").glob("*.tombola"))


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def change(data: bytes, at: int, byte: int, how: str, length: int) -> bytes:
    at %= max(len(data), 1)
    match how:
        case "flip":
            return data[:at] + bytes([data[at] ^ (byte or 1)]) + data[at + 1 :] if data else b"\1"
        case "insert":
            return data[:at] + bytes([byte]) * length + data[at:]
        case "delete":
            return data[:at] + data[at + length :]
        case _:
            return data[:at] + data[at : at + length] + data[at:]


changes = st.tuples(
    st.integers(0, 1 << 16),
    st.integers(0, 255),
    st.sampled_from(["flip", "flip", "insert", "delete", "repeat"]),
    st.integers(1, 40),
)


@given(st.sampled_from(GOLDEN), st.lists(changes, min_size=1, max_size=4), st.integers(0, 11))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_tickets(
    traced: None, tmp_path: Path, golden: Path, damage: list[tuple[int, int, str, int]], part: int
) -> None:
    data = golden.read_bytes()
    tally = Tally()
    for at, byte, how, length in damage:
        damaged = partial(change, at=at, byte=byte, how=how, length=length)
        data = resealed(data, part, damaged) if part < 6 else damaged(data)
    open_ticket(data, tmp_path / "t.tombola", tally)
    assert tally.inputs == 1
    assert tally.opened + sum(tally.refusals.values()) >= 1


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.stem)
def test_resealing_is_what_a_writer_does(golden: Path) -> None:
    data = golden.read_bytes()
    parts = Parts.of(data)
    assert parts is not None
    assert is_sealed(data)
    assert parts.sealed() == data  # so that damage behind the checksum is all that is wrong
    assert not is_sealed(change(data, 700, 1, "flip", 1))
    assert is_sealed(resealed(data, 0, lambda piece: piece + b"\0\0\0\0"))
