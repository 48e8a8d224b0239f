"""The recipe as bytes: by hand, round trips, and everything that cannot be refused."""

from __future__ import annotations

import re
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tombola import TicketError
from tombola.source.init import DISTRIBUTIONS
from tombola.source.recipe import FixedTensor, RandomTensor, Recipe
from tombola.ticket.description import read_description, write_description
from tombola.ticket.varint import write_number

INIT = b"signed_constant"


def text(data: bytes) -> bytes:
    return write_number(len(data)) + data


def described(*entries: bytes, init: bytes = INIT, seed: int = 1) -> bytes:
    return struct.pack("<Q", seed) + text(init) + write_number(len(entries)) + b"".join(entries)


def entry(name: bytes, *rest: int, shared: int = 0) -> bytes:
    return write_number(shared) + text(name) + bytes(rest)


def test_by_hand() -> None:
    recipe = Recipe(
        1,
        "signed_constant",
        (RandomTensor("fc.weight", (3, 300), 300), RandomTensor("out.weight", (2, 3), 3.5, 0.25, 5)),
        (
            FixedTensor("fc.bias", (3,), 0.0),
            FixedTensor("norm.weight", (3,), 1.0),
            FixedTensor("norm.bias", (3,), -0.0),
        ),
    )
    data = described(
        entry(b"fc.weight", 0, 2, 3, 0xAC, 0x02),
        entry(b"bias", 1, 1, 3, shared=3),
        # Nothing shared: the random tensor before the fixed one.
        entry(b"out.weight", 0 | 16 | 32 | 64, 2, 2, 3, *struct.pack("<dd", 3.5, 0.25), 5),
        entry(b"norm.weight", 2, 1, 3),
        entry(b"bias", 3 | 8, *struct.pack("<f", -0.0), shared=5),
        entry(b"running_mean", 4 | 8, shared=5),
        entry(b"var", 4 | 8, shared=13),
    )
    shapes = {"norm.running_mean": (3,), "norm.running_var": (3,)}
    exact = Recipe(1, "uniform", (RandomTensor("a", (2, 3), 3, alive_count=4),))
    assert write_description(exact, {}) == described(entry(b"a", 128, 2, 2, 3, 4), init=b"uniform")
    assert write_description(recipe, shapes) == data
    assert read_description(data, 10**6) == (recipe, shapes)


names = st.text(st.sampled_from("ab.é"), min_size=1, max_size=6)
shapes = st.lists(st.integers(1, 300), max_size=3).map(tuple)
float32s = st.floats(allow_nan=False, allow_infinity=False, width=32)
fan_ins = st.integers(1, 1000) | st.floats(0.5, 1000.0).filter(lambda number: not number.is_integer())


@given(
    st.integers(0, 2**64 - 1),
    st.sampled_from(sorted(DISTRIBUTIONS)),
    st.lists(names, min_size=1, max_size=12, unique=True),
    st.data(),
)
def test_round_trip(seed: int, init: str, all_names: list[str], data: st.DataObject) -> None:
    kinds = [0, *data.draw(st.lists(st.integers(0, 2), min_size=12))]
    named = [(name, kind, data.draw(shapes)) for name, kind in zip(all_names, kinds, strict=False)]
    densities = st.sampled_from([1.0, 0.3])
    recipe = Recipe(
        seed,
        init,
        tuple(
            RandomTensor(n, shape, data.draw(fan_ins), data.draw(densities), data.draw(st.integers(0, 2**32)))
            for n, kind, shape in named
            if kind == 0
        ),
        tuple(FixedTensor(n, shape, data.draw(float32s)) for n, kind, shape in named if kind == 1),
    )
    statistics = {n: shape for n, kind, shape in named if kind == 2}
    assert read_description(write_description(recipe, statistics), 2**40) == (recipe, statistics)


WEIGHT = entry(b"a", 0, 2, 2, 3)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "description bytes end early"),
        (described(WEIGHT)[:-1], "description bytes end early"),
        (described(WEIGHT) + b"\0", "go on for 1 bytes"),
        (described(WEIGHT, init=b"normal"), "distribution 'normal' is not known: signed_constant, kaiming"),
        (described(WEIGHT, init=b"x" * 10**6), "hold a number above 1024"),
        (described(WEIGHT, init=b"\xff"), "name b'\\\\xff', which is not UTF-8"),
        (described(), "holds no tensor"),
        (described(entry(b"a", 1, 0)), "holds no tensor"),
        (described(WEIGHT, WEIGHT), "names a tensor twice"),
        (described(WEIGHT, entry(b"", 4, 0, shared=1)), "names a tensor twice"),
        (struct.pack("<Q", 1) + text(INIT) + write_number(2**16 + 1), "hold a number above 65536"),
        (described(entry(b"a", 0, 1, 3, shared=1)), "names share 1 bytes of 0"),
        (described(entry(b"\xc3", 0, 1, 3)), "which is not UTF-8"),
        (described(entry(b"\xed\xa0\x80", 0, 1, 3)), "which is not UTF-8"),  # a lone surrogate
        (described(entry(b"a" * 1025, 0, 1, 3)), "hold a number above 1024"),
        (described(WEIGHT, entry(b"a" * 1024, 1, 0, shared=1)), "hold a number above 1023"),
        (described(entry(b"a", 0 | 8)), "first tensor has no shape"),
        (described(entry(b"a", 0, 9)), "hold a number above 8"),
        (described(entry(b"a", 0, 1, *write_number(2**41))), "hold a number above 1099511627776"),
        (described(entry(b"a", 0, 3, 0, *write_number(2**21) * 2)), "holds the shape .0, 2097152, 2097152."),
        (described(entry(b"a", 0, 3, *write_number(2**13) * 3)), "asks for 549755813888 weights"),
        (described(WEIGHT, entry(b"b", 1, 1, *write_number(10**7))), "asks for 10000006 weights"),
        (described(entry(b"a", 5, 1, 3)), "'a' is of kind 5, which is not known"),
        (described(entry(b"a", 1 | 16, 1, 3)), "'a' is of kind 17, which is not known"),
        (described(entry(b"a", 64 | 128, 1, 3)), "'a' is of kind 192, which is not known"),
        (described(entry(b"a", 128, 2, 2, 3, 6)), "hold a number above 5"),
        (described(entry(b"a", 128 | 16, 1, 0, *struct.pack("<d", 1.0), 0)), "hold a number above -1"),
        *(
            (
                described(entry(b"a", 16, 1, 3, *struct.pack("<d", fan_in))),
                f"'a' has fan-in {re.escape(str(fan_in))}",
            )
            for fan_in in (0.0, -1.0, 1e-300, 1e300, float("inf"), float("nan"))
        ),
        (described(entry(b"a", 0, 2, 3, 0)), "'a' has fan-in 0"),
        *(
            (described(entry(b"a", 32, 2, 3, 3, *struct.pack("<d", share))), f"fan density {share}")
            for share in (0.0, 5e-324, 1.5, float("nan"))
        ),
        (described(entry(b"a", 64, 2, 3, 3, *write_number(2**32 + 1))), "hold a number above 4294967296"),
        (described(WEIGHT, entry(b"b", 3, 0, *struct.pack("<f", float("inf")))), "fixes 'b' at inf"),
        (described(WEIGHT, entry(b"b", 3, 0, *struct.pack("<f", float("nan")))), "fixes 'b' at nan"),
    ],
)
def test_what_cannot_be_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(TicketError, match=message) as raised:
        read_description(data, 10**6)
    assert len(str(raised.value)) < 200
    assert "\n" not in str(raised.value)


def test_the_limit_is_the_callers() -> None:
    assert read_description(described(WEIGHT), 6)[0].tensors[0].size == 6
    with pytest.raises(TicketError, match="asks for 6 weights, more than max_weights, 5"):
        read_description(described(WEIGHT), 5)
