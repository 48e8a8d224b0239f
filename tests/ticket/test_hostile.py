"""Files made to do harm, each with a right checksum: TicketError is all that ever leaves."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from opening import allowed_memory

import tombola
from builders import conv_batch_norm
from tombola import Ticket, TicketError
from tombola.source.recipe import RandomTensor, Recipe
from tombola.ticket.container import pack, unpack
from tombola.ticket.description import write_description
from tombola.ticket.format import Contents, read, write
from tombola.ticket.rebuild import network_digest, rebuild_weights

Parts = tuple[dict[str, np.ndarray], dict[str, str]]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    path = tmp_path_factory.mktemp("ticket") / "a.tombola"
    source = tombola.Source(conv_batch_norm(), density=0.7, init="kaiming_uniform")
    generations = {"3.weight": np.arange(6 * 8 * 9).reshape(6, 8, 3, 3) % 3}
    mask = tombola.EdgePopup(source, 0.4).mask
    Ticket.from_mask(source, mask, generations, {"a": "b"}).save(path)
    return unpack(path.read_bytes())


def open_file(data: bytes, folder: Path) -> None:
    (folder / "x.tombola").write_bytes(data)
    ticket = Ticket.load(folder / "x.tombola")
    ticket.verify()
    repr(ticket)


def test_the_parts_make_a_good_ticket(parts: Parts, tmp_path: Path) -> None:
    open_file(pack(*parts), tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (struct.pack("<Q", 0), struct.pack("<Q", 1)),  # another seed, so other counts of alive weights
        (b"\x0fkaiming_uniform", b"\x0fsigned_constant"),  # another network: the digest notices
        (b"\x04bias\x09", b"\x04bias\x0b\0\0\0\0"),  # a fixed value of 0, spelt out
        (b"\x081.weight", b"\x001.weight"),  # garbage
        (b"weight", b"weighs"),
        (b"weight", b"\xed\xa0\x80"),
    ],
)
def test_recipes(old: bytes, new: bytes, parts: Parts, tmp_path: Path) -> None:
    arrays, metadata = parts
    recipe = arrays["recipe"].tobytes()
    changed = np.frombuffer(recipe.replace(old, new, 1), dtype=np.uint8)
    assert old in recipe
    with pytest.raises(TicketError) as raised:
        open_file(pack({**arrays, "recipe": changed}, metadata), tmp_path)
    assert len(str(raised.value)) < 1000
    assert "\n" not in str(raised.value)


def test_every_byte_of_the_recipe_and_the_counts(parts: Parts) -> None:
    arrays, metadata = parts
    good = read(pack(*parts))
    for name in ("recipe", "counts"):
        for position in range(arrays[name].size):
            for flip in (1, 2, 64, 128):
                changed = arrays[name].copy()
                changed[position] ^= flip
                try:
                    found = read(pack({**arrays, name: changed}, metadata), max_weights=10**5)
                except TicketError:
                    continue
                # Another recipe, then: of another network, as its digest tells, or of this one (an edge
                # probability may differ by too little to make any edge another).
                if network_digest(found) == good.digest:
                    weights = rebuild_weights(found)
                    expected = rebuild_weights(good)
                    assert all(np.array_equal(weights[tensor], expected[tensor]) for tensor in expected)
                else:
                    with pytest.raises(TicketError, match="but the stored one is"):
                        Ticket(found).verify()


def test_flips_of_weights_that_are_no_constants(parts: Parts, tmp_path: Path) -> None:
    source = tombola.Source(conv_batch_norm())
    some = {name: np.indices(shape).sum(0) % 5 for name, shape in source.shapes.items()}
    path = tmp_path / "flips.tombola"
    Ticket.from_mask(source, source.mask, some).save(path)
    arrays, metadata = unpack(path.read_bytes())
    recipe = arrays["recipe"].tobytes().replace(b"\x0fsigned_constant", b"\x0fkaiming_uniform")
    with pytest.raises(TicketError, match="flips signs of '0.weight', but its weights are kaiming_uniform"):
        read(pack({**arrays, "recipe": np.frombuffer(recipe, dtype=np.uint8)}, metadata))


@pytest.mark.parametrize(
    "change",
    [
        {"metadata.a": "\ud800"},
        {"metadata.a": "x" * (1 << 21)},
        {"hidden": "payload"},
        {"checksums": "0" * 64},
    ],
)
def test_headers(change: dict[str, str], parts: Parts, tmp_path: Path) -> None:
    arrays, metadata = parts
    with pytest.raises(TicketError):
        open_file(pack(arrays, {**metadata, **change}), tmp_path)


@pytest.mark.parametrize("digest", ["", "X" * 64, "A" * 64, "0" * 63, "0" * 65])
def test_a_digest_that_is_none(digest: str, parts: Parts) -> None:
    with pytest.raises(TicketError, match="the ticket's digest must be 64 hex digits, got"):
        read(pack(parts[0], {**parts[1], "digest": digest}))


@pytest.mark.parametrize("name", ["code", "counts", "recipe", "statistics"])
@pytest.mark.parametrize("change", ["missing", "longer", "shorter", "type"])
def test_arrays(name: str, change: str, parts: Parts, tmp_path: Path) -> None:
    arrays, metadata = dict(parts[0]), parts[1]
    array = arrays.pop(name)
    if change == "longer":
        arrays[name] = np.append(array, array[-1:])
    elif change == "shorter":
        arrays[name] = array[:-1]
    elif change == "type":
        arrays[name] = array.astype(np.float32 if array.dtype != np.float32 else np.uint8)
    with pytest.raises(TicketError):
        open_file(pack(arrays, metadata), tmp_path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_statistics_that_are_no_numbers(value: float, parts: Parts) -> None:
    bad = parts[0]["statistics"].copy()
    bad[0] = value
    with pytest.raises(TicketError, match="statistics that are not finite"):
        read(pack({**parts[0], "statistics": bad}, parts[1]))


@pytest.mark.parametrize("extra", [0, 1, 2**32 - 1])
def test_a_code_word_too_many(extra: int, parts: Parts, tmp_path: Path) -> None:
    arrays, metadata = parts
    longer = {**arrays, "code": np.append(arrays["code"], np.uint32(extra))}
    with pytest.raises(TicketError, match="canonical|damaged|counts say"):
        open_file(pack(longer, metadata), tmp_path)


def test_an_additional_array(parts: Parts, tmp_path: Path) -> None:
    arrays, metadata = parts
    hidden = {**arrays, "\x1b[31mx\ny": np.zeros(1, np.uint8)}
    with pytest.raises(TicketError, match="holds code, counts, recipe and statistics, got") as raised:
        open_file(pack(hidden, metadata), tmp_path)
    assert "\n" not in str(raised.value)
    assert "\x1b" not in str(raised.value)


def test_more_weights_than_are_allowed_are_refused_before_they_take_memory(parts: Parts) -> None:
    huge = Recipe(0, "uniform", (RandomTensor("a", (1 << 20, 1 << 14), 1),))
    arrays: dict[str, np.ndarray] = {
        "code": np.zeros(0, np.uint32),
        "counts": np.zeros(1, np.uint8),
        "recipe": np.frombuffer(write_description(huge, {}), dtype=np.uint8),
        "statistics": np.zeros(0, np.float32),
    }
    data = pack(arrays, parts[1])
    tracemalloc.start()
    try:
        with pytest.raises(
            TicketError, match="asks for 17179869184 weights, more than max_weights, 2147483648"
        ):
            read(data)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_max_weights_is_the_callers(parts: Parts, tmp_path: Path) -> None:
    path = tmp_path / "a.tombola"
    path.write_bytes(pack(*parts))
    weights = Ticket.load(path).mask.total
    fixed = sum(int(np.prod(f.shape)) for f in Ticket.load(path).fixed)
    assert Ticket.load(path, max_weights=weights + fixed).mask.total == weights
    with pytest.raises(TicketError, match=f"a.tombola: the ticket asks for {weights + fixed} weights"):
        Ticket.load(path, max_weights=weights + fixed - 1)


def test_no_more_is_read_than_the_header_announces(parts: Parts, tmp_path: Path) -> None:
    path = tmp_path / "a.tombola"
    with path.open("wb") as file:
        file.write(pack(*parts))
        file.truncate(1 << 40)  # a sparse file: a terabyte, were it read
    with pytest.raises(TicketError, match="damaged"):
        Ticket.load(path)
    for device in ("/dev/zero", "/dev/urandom"):
        if Path(device).exists():
            with pytest.raises(TicketError, match="not a Tombola ticket"):
                Ticket.load(device)


def test_data_of_absurd_size(parts: Parts, tmp_path: Path) -> None:
    data = pack({**parts[0], "statistics": np.zeros(5 << 20, np.float32)}, parts[1])
    (tmp_path / "a.tombola").write_bytes(data)
    with pytest.raises(TicketError, match=r"says to hold more than \d+ bytes of data"):
        Ticket.load(tmp_path / "a.tombola", max_weights=1000)


def test_a_header_of_absurd_size() -> None:
    for size in ((1 << 24) + 1, 1 << 62):
        with pytest.raises(
            TicketError, match="does not begin with the length of a header .of at most 16777216"
        ):
            unpack(size.to_bytes(8, "little") + b"{}" + b" " * (1 << 24))


def test_a_header_as_deep_as_it_is_long() -> None:
    text = b'{"__metadata__":' + b"[" * 200_000
    with pytest.raises(TicketError, match="names no format 'tombola'"):
        unpack(len(text).to_bytes(8, "little") + text)


def opened_within(path: Path, contents: Contents, max_weights: int) -> None:
    """Write a file, and read it within the memory that is promised."""
    path.write_bytes(write(contents))
    tracemalloc.start()
    try:
        Ticket.load(path, max_weights=max_weights)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < allowed_memory(path.stat().st_size, max_weights)


@pytest.mark.parametrize("letter", ["", "😀"])
def test_names_that_share_their_beginnings(tmp_path: Path, letter: str) -> None:
    # Few bytes of the file each, a thousand in memory, and with one such letter four thousand.
    names = [f"{letter}{'n' * (1018 - len(letter.encode()))}{number:05}" for number in range(5000)]
    recipe = Recipe(0, "signed_constant", tuple(RandomTensor(name, (0,), 1) for name in names))
    redraws = {name: np.zeros(0, np.uint8) for name in names}
    opened_within(tmp_path / "x.tombola", Contents(recipe, recipe.mask(), redraws, {}, {}, "0" * 64), 10)


@pytest.mark.parametrize("missing", [0, 1])
def test_every_weight_of_a_late_generation(tmp_path: Path, missing: int) -> None:
    size = 1 << 21
    tensor = RandomTensor("w", (size,), 2, alive_count=size - missing if missing else None)
    recipe = Recipe(0, "kaiming_uniform", (tensor,))
    redraws = {"w": np.full(size - missing, 2**31 - 1, np.uint32)}
    opened_within(tmp_path / "x.tombola", Contents(recipe, recipe.mask(), redraws, {}, {}, "0" * 64), size)
