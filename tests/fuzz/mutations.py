"""Damaged tickets: bytes changed anywhere, or parts changed and sealed again with a right checksum, so that
what lies behind the checksum is reached too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Mutate = Callable[[bytes], bytes]

NO_CHECKSUM = "0" * 64


@dataclass
class Parts:
    """A ticket taken apart without any check but that it can be: header and the arrays' bytes."""

    header: dict[str, Any]
    arrays: dict[str, bytes]

    @classmethod
    def of(cls, data: bytes) -> Parts | None:
        """The parts of a file; None where it has none."""
        try:
            size = int.from_bytes(data[:8], "little")
            header = json.loads(data[8 : 8 + size])
            places = {name: view["data_offsets"] for name, view in header.items() if name != "__metadata__"}
            body = data[8 + size :]
            arrays = {name: body[slice(*places[name])] for name in sorted(places, key=places.__getitem__)}
            if not isinstance(header["__metadata__"]["checksum"], str):
                return None
            if not all(isinstance(header[name]["dtype"], str) for name in places):
                return None
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None
        return cls(header, arrays)

    def sealed(self) -> bytes:
        """The file of these parts, its offsets and its checksum right."""
        offset = 0
        for name, data in self.arrays.items():
            view = self.header[name]
            width = {"U32": 4, "F32": 4}.get(view["dtype"], 1)
            view["data_offsets"] = [offset, offset + len(data)]
            view["shape"] = [len(data) // width]
            offset += len(data)
        self.header["__metadata__"]["checksum"] = NO_CHECKSUM
        text = json.dumps(self.header, sort_keys=True, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        blank = len(text).to_bytes(8, "little") + text + b"".join(self.arrays.values())
        return blank.replace(NO_CHECKSUM.encode(), hashlib.sha256(blank).hexdigest().encode(), 1)


def is_sealed(data: bytes) -> bool:
    """Whether the checksum is right, so that a reader goes on to what lies behind it."""
    parts = Parts.of(data)
    if parts is None:
        return False
    checksum = str(parts.header["__metadata__"]["checksum"]).encode(errors="replace")
    blank = data.replace(checksum, NO_CHECKSUM.encode(), 1)
    return len(checksum) == 64 and hashlib.sha256(blank).hexdigest().encode() == checksum


def resealed(data: bytes, choice: int, mutate: Mutate) -> bytes:
    """`data` with one array or one text of its header changed, and a right checksum."""
    parts = Parts.of(data)
    if parts is None:
        return mutate(data)
    names = [*parts.arrays, "metadata", "digest"]
    name = names[choice % len(names)]
    if name in parts.arrays:
        width = 4 if name in ("code", "statistics") else 1
        changed = mutate(parts.arrays[name])
        parts.arrays[name] = changed[: len(changed) // width * width]
    else:
        said = parts.header["__metadata__"]
        keys = [key for key in said if key.startswith(name)]
        for key in keys[:1]:
            text = mutate(str(said[key]).encode(errors="replace")).decode("utf-8", "surrogateescape")
            said[key] = text
    return parts.sealed()
