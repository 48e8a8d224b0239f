"""The container: canonical bytes that the safetensors library reads, and every damage noticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from tombola import TicketError
from tombola.ticket.container import pack, read_file, unpack

ARRAYS: dict[str, np.ndarray] = {
    "code": np.array([1, 2**32 - 1], dtype=np.uint32),
    "statistics": np.array([0.5], dtype=np.float32),
    "counts": np.array([7, 8, 9], dtype=np.uint8),
}
FILE = pack(ARRAYS, {"note": "ü"})
HEADER = int.from_bytes(FILE[:8], "little")


def resealed(change: Callable[[dict[str, Any]], None], data: bytes = FILE[8 + HEADER :]) -> bytes:
    """The file with a changed header and a right checksum, as an attacker would make it."""
    header = json.loads(FILE[8 : 8 + HEADER])
    header["__metadata__"]["checksum"] = "0" * 64
    change(header)
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    blank = len(text).to_bytes(8, "little") + text + data
    return blank.replace(b"0" * 64, hashlib.sha256(blank).hexdigest().encode(), 1)


def test_round_trip() -> None:
    arrays, metadata = unpack(FILE)
    assert sorted(arrays) == sorted(ARRAYS)
    for name, values in arrays.items():
        assert values.dtype == ARRAYS[name].dtype
        assert values.tolist() == ARRAYS[name].tolist()
    assert metadata["note"] == "ü"
    assert resealed(lambda header: None) == FILE


def test_the_safetensors_library_reads_it() -> None:
    read = safetensors.numpy.load(FILE)
    assert {name: values.tolist() for name, values in read.items()} == {
        name: values.tolist() for name, values in ARRAYS.items()
    }


def test_the_header_is_canonical() -> None:
    text = FILE[8 : 8 + HEADER]
    assert HEADER % 8 == 0
    stripped = text.rstrip(b" ")
    assert len(text) - len(stripped) < 8
    assert json.dumps(json.loads(stripped), sort_keys=True, separators=(",", ":")).encode() == stripped
    assert pack(dict(reversed(ARRAYS.items())), {"note": "ü"}) == FILE


def test_the_checksum_is_over_the_file_with_zeros_in_its_place() -> None:
    _, metadata = unpack(FILE)
    blank = FILE.replace(metadata["checksum"].encode(), b"0" * 64)
    assert hashlib.sha256(blank).hexdigest() == metadata["checksum"]


def test_any_changed_byte_is_noticed() -> None:
    for position in range(len(FILE)):
        for flip in (0x01, 0x20, 0x80):  # 0x20 turns a letter's case
            damaged = bytearray(FILE)
            damaged[position] ^= flip
            with pytest.raises(TicketError):
                unpack(bytes(damaged))


def test_any_truncation_or_extension_is_noticed() -> None:
    for length in range(len(FILE)):
        with pytest.raises(TicketError):
            unpack(FILE[:length])
    with pytest.raises(TicketError):
        unpack(FILE + b"\0")


@pytest.mark.parametrize(
    "data",
    [b"", b"PK\x03\x04" + b"\0" * 100, (2).to_bytes(8, "little") + b"{}", (2).to_bytes(8, "little") + b"[]"],
)
def test_foreign_files(data: bytes) -> None:
    with pytest.raises(TicketError, match="not a Tombola ticket"):
        unpack(data)


def test_an_ordinary_safetensors_file_is_foreign() -> None:
    with pytest.raises(TicketError, match="names no format 'tombola'"):
        unpack(safetensors.numpy.save({"w": np.zeros(3)}, metadata={"format": "pt"}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h["__metadata__"].update(version="2"), "of format version '2', this tombola reads '1'"),
        (lambda h: h["__metadata__"].update(format="other"), "names no format 'tombola'"),
        (lambda h: h["__metadata__"].update(note=3), "its metadata are not all texts"),
        # Nothing else of another version is known: its number is what counts.
        (
            lambda h: h.update(__metadata__={"format": "tombola", "version": "2", "x": []}),
            "version '2', this",
        ),
        (lambda h: h.update(__metadata__={"format": "tombola"}), "of format version None, this tombola"),
        (lambda h: h["counts"].update(shape=[3, 1]), r"'counts' must be a flat F32/U32/U8, got U8 of shape"),
        (lambda h: h["counts"].update(dtype="I8"), "'counts' must be a flat F32/U32/U8, got I8"),
        (lambda h: h["counts"].update(shape=[4]), "the ticket is damaged"),
        (lambda h: h["counts"].update(data_offsets=[0, 3]), "the ticket is damaged"),
        (lambda h: h["counts"].update(data_offsets=[8, 2**63]), "the ticket is damaged"),
    ],
)
def test_resealed_headers(change: Callable[[dict[str, Any]], None], message: str) -> None:
    with pytest.raises(TicketError, match=message):
        unpack(resealed(change))


def test_bytes_that_no_array_owns_are_refused() -> None:
    with pytest.raises(TicketError, match="the ticket is damaged"):
        unpack(resealed(lambda header: None, FILE[8 + HEADER :] + b"hidden"))


def test_names_that_come_twice_are_refused() -> None:
    text = b'{"__metadata__":{"format":"tombola","version":"1","version":"1"}}'
    with pytest.raises(TicketError, match="names something twice"):
        unpack(len(text).to_bytes(8, "little") + text)


def header_alone(header: dict[str, Any]) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text


SIGN = {"format": "tombola", "version": "1"}


@pytest.mark.parametrize("end", [-1, -2, -5, True, None, 1.5, "9", [9]])
def test_files_that_say_their_arrays_end_nowhere(end: object, tmp_path: Path) -> None:
    path = tmp_path / "a.tombola"
    with path.open("wb") as file:
        file.write(header_alone({"__metadata__": SIGN, "x": {"data_offsets": [0, end]}}))
        file.truncate(1 << 32)  # sparse: too much, were it read
    with pytest.raises(TicketError, match="its header does not say where its arrays are"):
        read_file(path, 1000)


@pytest.mark.parametrize("views", [{"x": {}}, {"x": 3}, {"x": {"data_offsets": [0, 2**50]}}])
def test_another_version_is_named_whatever_else_its_file_holds(views: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "a.tombola"
    path.write_bytes(header_alone({"__metadata__": {**SIGN, "version": "2", "y": 3}, **views}))
    with pytest.raises(TicketError, match="of format version '2', this tombola reads '1'"):
        read_file(path, 1000)
