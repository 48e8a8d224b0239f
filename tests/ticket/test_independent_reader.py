"""docs/format.md suffices: a reader written from it alone reads what Tombola's reads, and refuses alike."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from independent_arithmetic import RefusedError
from independent_reader import IndependentTicket, Tensors, read_ticket

from builders import INITS, conv_batch_norm
from tombola import Source, Ticket, TicketError
from tombola.mask import Mask
from tombola.source.init import FloatArray
from tombola.source.recipe import FixedTensor, Generations, RandomTensor, Recipe, Shape
from tombola.ticket.container import pack, unpack
from tombola.ticket.format import read, write

FOLDER = Path(__file__).parent.parent / "golden"
DIGESTS: dict[str, str] = json.loads((FOLDER / "digests.json").read_text())


@pytest.mark.parametrize("name", sorted(DIGESTS))
def test_golden_files(name: str) -> None:
    mine = read_ticket((FOLDER / name).read_bytes())
    assert mine.digest == mine.stored_digest == DIGESTS[name]
    assert mine.metadata["note"] == "für immer \N{BLACK SPADE SUIT} \U0001f39f"


def patterns(tensors: dict[str, FloatArray]) -> Tensors:
    return {name: (values.shape, values.view("<u4").reshape(-1).tolist()) for name, values in tensors.items()}


def assert_same(mine: IndependentTicket, theirs: Ticket) -> None:
    assert (mine.seed, mine.distribution) == (theirs.seed, theirs.recipe.init)
    assert (mine.metadata, mine.stored_digest) == (theirs.metadata, theirs.digest)
    assert mine.masks == {name: mask.reshape(-1).tolist() for name, mask in theirs.mask.items()}
    fixed = {f.name: np.full(f.shape, f.value, dtype=np.float32) for f in theirs.fixed}
    assert list(mine.random.items()) == list(patterns(theirs.weights()).items())
    assert list(mine.fixed.items()) == list(patterns(fixed).items())
    assert list(mine.statistics.items()) == list(patterns(theirs.statistics).items())


# --- Random tickets ----------------------------------------------------------------------------------------


@dataclass
class Network:
    """A source without a model: any recipe and any statistics."""

    recipe: Recipe
    mask: Mask
    held: dict[str, FloatArray]

    def generations(self) -> dict[str, Generations | None]:
        return {}

    def statistics(self) -> dict[str, FloatArray]:
        return self.held


# Names whose first bytes are shared within a character, and text that JSON escapes, or might.
names = st.text(st.sampled_from("ab.éè🎟🎞\x00\x7f"), max_size=5)
texts = st.text(
    st.sampled_from('av~ /"\\\b\f\n\r\t\x00\x1f\x7fé\u2028\ud7ff\ue000\uffff🎟\U0010ffff'), max_size=4
)
shapes = st.lists(st.integers(0, 6) | st.just(1), max_size=4).map(tuple)
float32s = st.floats(width=32, allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, -0.0, 1.0])
fan_ins = st.sampled_from([2.0**-31, 2**31, 3]) | st.floats(0.01, 1e6)
fan_densities = st.sampled_from([1.0, 2.0**-31]) | st.floats(1e-6, 1)
alive_words = st.sampled_from([2**32, 2**32 - 1, 2**31, 0]) | st.integers(0, 2**32)
generations_present = st.sampled_from(
    [[0], [0, 1], [5], [0, 2**31 - 1], [*range(9), 100, 300, 301, 2**31 - 2]]
)


@st.composite
def random_tensors(draw: st.DrawFn, name: str, shape: Shape) -> RandomTensor:
    usual = math.prod(shape[1:])
    fan_in = usual if usual and draw(st.booleans()) else draw(fan_ins)
    if draw(st.booleans()) and math.prod(shape) > 0:
        count = draw(st.integers(0, math.prod(shape) - 1))
        return RandomTensor(name, shape, fan_in, draw(fan_densities), alive_count=count)
    return RandomTensor(name, shape, fan_in, draw(fan_densities), draw(alive_words))


@st.composite
def tickets(draw: st.DrawFn) -> Ticket:
    named = draw(st.lists(st.tuples(names, shapes), min_size=1, max_size=7, unique_by=lambda item: item[0]))
    randoms = draw(st.integers(1, len(named)))
    fixed = draw(st.integers(randoms, len(named)))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    recipe = Recipe(
        draw(st.integers(0, 2**64 - 1)),
        draw(st.sampled_from(INITS)),
        tuple(draw(random_tensors(name, shape)) for name, shape in named[:randoms]),
        tuple(FixedTensor(name, shape, draw(float32s)) for name, shape in named[randoms:fixed]),
    )
    statistics = {
        name: np.asarray(generator.standard_normal(shape), dtype=np.float32) for name, shape in named[fixed:]
    }
    network = Network(recipe, recipe.mask(), statistics)
    masks: dict[str, npt.ArrayLike] = {}
    generations: dict[str, npt.ArrayLike] = {}
    for name, alive in network.mask.items():
        density = draw(st.sampled_from([0.0, 0.02, 0.5, 0.9, 1.0]))
        masks[name] = alive & (generator.random(alive.shape) < density)
        generations[name] = generator.choice(draw(generations_present), size=alive.shape)
    return Ticket.from_mask(network, masks, generations, draw(st.dictionaries(texts, texts, max_size=3)))


@given(tickets())
@settings(max_examples=200)
def test_random_tickets(ticket: Ticket) -> None:
    data = write(ticket._contents)
    mine = read_ticket(data)
    assert_same(mine, Ticket(read(data)))
    assert mine.digest == mine.stored_digest


@pytest.mark.parametrize("init", INITS)
def test_tickets_of_models(init: str) -> None:
    source = Source(
        conv_batch_norm(),
        seed=9,
        init=init,
        density=0.6,
        bias=True,
        fan_density={"3.weight": 0.3},
        fan_in={"6.weight": 7.5},
        fixed={"1.weight": 0.25},
    )
    generations = {name: np.indices(shape).sum(0) % 5 * 77 for name, shape in source.shapes.items()}
    ticket = Ticket.from_mask(source, source.mask, generations)
    assert_same(read_ticket(write(ticket._contents)), ticket)


# --- Refusals ----------------------------------------------------------------------------------------------

Parts = tuple[dict[str, np.ndarray], dict[str, str]]


@pytest.fixture(scope="module")
def good() -> bytes:
    """A ticket in which every array holds something."""
    return (FOLDER / "kaiming_uniform-iterand.tombola").read_bytes()


def repacked(data: bytes, name: str, change: Callable[[bytes], bytes]) -> bytes:
    """The file with one array changed and a checksum that says so."""
    arrays, metadata = unpack(data)
    changed = np.frombuffer(change(arrays[name].tobytes()), dtype=arrays[name].dtype)
    return pack({**arrays, name: changed}, metadata)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "nothing at all": lambda _: b"",
    "a header alone": lambda data: data[: 8 + int.from_bytes(data[:8], "little")],
    "a byte less": lambda data: data[:-1],
    "a byte more": lambda data: data + b"\0",
    "a byte changed": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "a space in the header": lambda data: data.replace(b'"U8"', b' "U8"', 1),
    "a word more": lambda data: repacked(data, "code", lambda code: code + bytes(4)),
    "a word less": lambda data: repacked(data, "code", lambda code: code[:-4]),
    "another last word": lambda data: repacked(data, "code", lambda c: c[:-4] + bytes([c[-4] ^ 1]) + c[-3:]),
    "another first word": lambda data: repacked(data, "code", lambda code: b"\xff" * 4 + code[4:]),
    "a count more": lambda data: repacked(data, "counts", lambda counts: counts + b"\0"),
    "a number too long": lambda data: repacked(data, "counts", lambda c: c[:-1] + bytes([c[-1] | 128, 0])),
    "no such distribution": lambda data: repacked(
        data, "recipe", lambda r: r.replace(b"kaiming", b"klaxons")
    ),
    "another seed": lambda data: repacked(data, "recipe", lambda recipe: bytes(8) + recipe[8:]),
    "a statistic less": lambda data: repacked(data, "statistics", lambda values: values[4:]),
    "not a number": lambda data: repacked(data, "statistics", lambda v: b"\0\0\xc0\x7f" + v[4:]),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_both_refuse(damage: str, good: bytes) -> None:
    bad = DAMAGE[damage](good)
    assert bad != good
    with pytest.raises(RefusedError):
        read_ticket(bad)
    with pytest.raises(TicketError):
        read(bad)


RANDOM_A, FIXED_AB = b"\x00\x01a\x00\x01\x02", b"\x01\x01b\x0a"


@pytest.mark.parametrize(
    ("array", "old", "new"),
    [
        ("recipe", FIXED_AB, b"\x01\x01b\x02\x01\x02"),  # the shape of the entry before, spelt out
        ("recipe", FIXED_AB, b"\x01\x01b\x0b\x00\x00\x80\x3f"),  # 1, spelt out
        ("recipe", FIXED_AB, b"\x00\x02ab\x0a"),  # shares more than it says
        ("recipe", RANDOM_A, b"\x00\x01a\x10\x01\x02" + struct.pack("<d", 1)),  # the usual fan-in
        ("recipe", RANDOM_A, b"\x00\x01a\x20\x01\x02" + struct.pack("<d", 1)),  # the usual fan density
        ("recipe", RANDOM_A + FIXED_AB, b"\x00\x02ab\x02\x01\x02\x01\x00\x08"),  # another order
        ("counts", b"\x02\x00", b"\x02\x02\x00\x01"),  # generation 0, spelt out
    ],
)
def test_both_refuse_what_a_writer_says_in_another_way(array: str, old: bytes, new: bytes) -> None:
    recipe = Recipe(0, "uniform", (RandomTensor("a", (2,), 1),), (FixedTensor("ab", (2,), 1.0),))
    data = write(Ticket.from_mask(Network(recipe, recipe.mask(), {}), recipe.mask())._contents)
    assert_same(read_ticket(data), Ticket(read(data)))
    assert old in unpack(data)[0][array].tobytes()
    bad = repacked(data, array, lambda content: content.replace(old, new))
    with pytest.raises(RefusedError):
        read_ticket(bad)
    with pytest.raises(TicketError, match="canonical"):
        read(bad)


def test_both_name_a_version_that_they_do_not_know(good: bytes) -> None:
    later = good.replace(b'"version":"1"', b'"version":"2"', 1)
    with pytest.raises(RefusedError, match="version '2'"):
        read_ticket(later)
    with pytest.raises(TicketError, match="version '2'"):
        read(later)


def test_both_refuse_more_weights_than_they_are_told_to_hold(good: bytes) -> None:
    ticket = Ticket(read(good))
    weights = ticket.mask.total + sum(math.prod(fixed.shape) for fixed in ticket.fixed)
    assert_same(read_ticket(good, weights), ticket)
    with pytest.raises(RefusedError, match="too many weights"):
        read_ticket(good, weights - 1)
    with pytest.raises(TicketError, match="more than max_weights"):
        read(good, weights - 1)


@given(
    st.sampled_from(sorted(DIGESTS)),
    st.sampled_from(["code", "counts", "recipe", "statistics"]),
    st.integers(0, 2**16),
    st.integers(1, 255),
)
@settings(max_examples=250)
def test_both_make_the_same_of_a_byte_changed(name: str, array: str, position: int, flip: int) -> None:
    def change(data: bytes) -> bytes:
        at = position % len(data)
        return data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :]

    data = repacked((FOLDER / name).read_bytes(), array, change)
    try:
        theirs = Ticket(read(data, 2**20))
    except TicketError:
        with pytest.raises(RefusedError):
            read_ticket(data)
    else:
        assert_same(read_ticket(data), theirs)
