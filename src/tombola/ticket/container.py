"""The container: bytes <-> named arrays and metadata, as a safetensors file of canonical form.

The header is written here and not by the safetensors library, which orders metadata at random: keys
sorted, no spaces, ASCII, padded with spaces to a multiple of 8; widest arrays first. So equal tickets
are equal files. Reading validates with the library's own parser.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import safetensors

from tombola.errors import TicketError
from tombola.files import METADATA

FORMAT = "tombola"
VERSION = "1"
_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "U32": np.dtype("<u4"), "U8": np.dtype("u1")}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_NO_CHECKSUM = "0" * 64
MAX_HEADER = 1 << 24
_PIECE = 1 << 16


def pack(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """The file that holds flat `arrays` (float32, uint32, uint8) and `metadata`, with its checksum."""
    header: dict[str, Any] = {
        METADATA: {**metadata, "format": FORMAT, "version": VERSION, "checksum": _NO_CHECKSUM}
    }
    parts: list[bytes] = []
    offset = 0
    for name in sorted(arrays, key=lambda name: (-arrays[name].itemsize, name)):
        array = arrays[name].astype(arrays[name].dtype.newbyteorder("<"), copy=False)
        data = array.tobytes()
        header[name] = {
            "dtype": _NAMES[array.dtype],
            "shape": [array.size],
            "data_offsets": [offset, offset + len(data)],
        }
        parts.append(data)
        offset += len(data)
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
    text += b" " * (-len(text) % 8)
    return _seal(len(text).to_bytes(8, "little") + text + b"".join(parts))


def read_file(path: str | os.PathLike[str], max_data: int) -> bytes:
    """The bytes of a file that begins as a ticket does and says to hold at most `max_data` bytes of
    data. No more is read than the header announces, whatever the file or device holds.

    Raises TicketError for another file, OSError when it cannot be read.
    """
    with Path(path).open("rb") as file:
        start = file.read(8)
        start += _read(file, min(int.from_bytes(start, "little"), MAX_HEADER))
        size = _data_size(_read_header(start))
        if size > max_data:
            raise TicketError(f"the ticket says to hold more than {max_data} bytes of data")
        return start + _read(file, size + 1)  # a byte too many is for the parser to complain about


def _read(file: BinaryIO, count: int) -> bytes:
    """At most `count` bytes, without the memory for all of them if there are fewer."""
    pieces = []
    while count and (piece := file.read(min(count, _PIECE))):
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def unpack(data: bytes) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays and metadata of a file written by `pack`.

    Raises TicketError for a file that is foreign, truncated, damaged or of another version.
    """
    metadata: dict[str, str] = _read_header(data)[METADATA]
    if not _checksum_holds(data, metadata.get("checksum", "")):
        raise TicketError("the ticket is damaged: its checksum does not match its bytes")
    try:
        found: list[tuple[str, dict[str, Any]]]
        found = safetensors.deserialize(data)  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError as error:
        raise TicketError(f"the ticket is damaged: {error}") from None
    return {name: _array(name, view) for name, view in found}, metadata


def _read_header(data: bytes) -> dict[str, Any]:
    length = int.from_bytes(data[:8], "little")
    if length > MAX_HEADER:
        raise TicketError(
            "not a Tombola ticket: it does not begin with the length of a header "
            f"(of at most {MAX_HEADER} bytes)"
        )
    if len(data) < 8 or length > len(data) - 8:
        raise TicketError(f"not a Tombola ticket, or truncated: {len(data)} bytes without a whole header")
    try:
        header: dict[str, Any] = json.loads(data[8 : 8 + length], object_pairs_hook=_without_repeats)
        metadata = header[METADATA]
        if metadata["format"] != FORMAT:
            raise KeyError("format")
        version = metadata.get("version")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise TicketError("not a Tombola ticket: its header names no format 'tombola'") from None
    if version != VERSION:
        raise TicketError(f"the ticket is of format version {version!r:.40}, this tombola reads {VERSION!r}")
    if not all(isinstance(text, str) for text in metadata.values()):
        raise TicketError("the ticket is damaged: its metadata are not all texts")
    return header


def _data_size(header: Mapping[str, Any]) -> int:
    try:
        ends = [view["data_offsets"][1] for name, view in header.items() if name != METADATA]
    except (KeyError, TypeError, IndexError):
        ends = [None]
    if not all(type(end) is int and end >= 0 for end in ends):
        raise TicketError("the ticket is damaged: its header does not say where its arrays are")
    return max(ends, default=0)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise TicketError("the ticket is damaged: its header names something twice")
    return dict(pairs)


def _array(name: str, view: Mapping[str, Any]) -> np.ndarray:
    if view["dtype"] not in _DTYPES or len(view["shape"]) != 1:
        raise TicketError(
            f"the ticket's array {name!r} must be a flat {'/'.join(_DTYPES)}, "
            f"got {view['dtype']} of shape {tuple(view['shape'])}"
        )
    data: bytes = bytes(view["data"])
    stored = _DTYPES[view["dtype"]]
    return np.frombuffer(data, dtype=stored).astype(stored.newbyteorder("="), copy=False)


def _seal(blank: bytes) -> bytes:
    """Put the SHA-256 of the file with a checksum of zeros in that checksum's place."""
    at = _checksum_position(blank, _NO_CHECKSUM)
    digest = hashlib.sha256(blank).hexdigest().encode()
    return blank[:at] + digest + blank[at + 64 :]


def _checksum_holds(data: bytes, checksum: str) -> bool:
    try:
        at = _checksum_position(data, checksum)
    except ValueError:
        return False
    blank = data[:at] + _NO_CHECKSUM.encode() + data[at + 64 :]
    return len(checksum) == 64 and hashlib.sha256(blank).hexdigest() == checksum


def _checksum_position(data: bytes, checksum: str) -> int:
    # Canonical headers sort "__metadata__" first and "checksum" first in it: no other text that
    # looks the same can stand before.
    return data.index(b'"checksum":"' + checksum.encode() + b'"') + len(b'"checksum":"')
