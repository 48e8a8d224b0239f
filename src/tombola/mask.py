"""Mask: which weights are kept, by tensor name.

>>> mask = Mask({"fc.weight": [[True, False], [False, False]]})
>>> mask.density, mask.kept, mask["fc.weight"].shape
(0.25, 1, (2, 2))
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from typing import Self

import numpy as np
import numpy.typing as npt
import safetensors.numpy
from safetensors import SafetensorError

from tombola.errors import ArgumentError, check_kind
from tombola.files import METADATA, write_atomically
from tombola.shown import Shown, Table, mask_table

BoolArray = npt.NDArray[np.bool_]


class Mask(Shown, Mapping[str, BoolArray]):
    """A read-only mapping {tensor name: boolean array of the tensor's shape}, True = kept.

    Raises ArgumentError for an array that is not boolean (0/1 integers are taken as booleans), and for what
    is no mapping.
    """

    def __init__(self, arrays: Mapping[str, npt.ArrayLike]) -> None:
        check_kind("mask", arrays, Mapping, "give {tensor name: boolean array}")
        self._arrays = {name: _as_bool(name, values) for name, values in arrays.items()}

    def __getitem__(self, name: str) -> BoolArray:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        return self.keys() == other.keys() and all(np.array_equal(self[name], other[name]) for name in self)

    __hash__ = None  # type: ignore[assignment]

    def __le__(self, other: Mapping[str, BoolArray]) -> bool:
        """Whether every weight kept here is kept in `other` too (a subset of its edges)."""
        if self.shapes != {name: array.shape for name, array in other.items()}:
            return False
        return all(not np.any(self[name] & ~other[name]) for name in self)

    def __repr__(self) -> str:
        return (
            f"Mask({len(self)} tensors, {self.kept:,} of {self.total:,} weights, density {self.density:.4g})"
        )

    def table(self) -> Table:
        """What notebooks show."""
        facts = {"weights": self.total, "kept": self.kept, "density": self.density}
        return mask_table("Mask", facts, self)

    @property
    def kept(self) -> int:
        """How many weights are kept."""
        return sum(int(np.count_nonzero(array)) for array in self._arrays.values())

    @property
    def total(self) -> int:
        """How many weights there are."""
        return sum(array.size for array in self._arrays.values())

    @property
    def density(self) -> float:
        """The fraction of weights kept, in [0, 1]."""
        return self.kept / self.total if self.total else 0.0

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor."""
        return {name: array.shape for name, array in self._arrays.items()}

    def check_shapes(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Raise ArgumentError unless the mask is of exactly these tensors."""
        for name in [*self, *shapes]:
            if name not in shapes:
                raise ArgumentError(f"mask names {name!r}, but the random tensors are: {', '.join(shapes)}")
            if name not in self:
                raise ArgumentError(f"mask names no tensor {name!r}: expected one for each random tensor")
            if self[name].shape != shapes[name]:
                raise ArgumentError(f"mask {name!r}: expected shape {shapes[name]}, got {self[name].shape}")

    @property
    def digest(self) -> str:
        """SHA-256 over names, shapes and bits, in alphabetical order of the names; 64 hex digits."""
        whole = hashlib.sha256()
        for name in sorted(self):
            bits = np.packbits(self[name], bitorder="little").tobytes()
            whole.update(f"{len(name.encode())} {name} {self[name].shape} ".encode() + bits)
        return whole.hexdigest()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a safetensors file of boolean tensors, which every framework reads.

        Raises ArgumentError for a tensor that is called as the file's own metadata is; OSError with an old
        file left intact.
        """
        if METADATA in self:
            raise ArgumentError(f"no tensor of a mask file can be called {METADATA!r}")
        write_atomically(path, safetensors.numpy.save(dict(self._arrays)))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote, in alphabetical order of the names.

        Raises ArgumentError for a file that is no safetensors file of booleans, OSError when it cannot be
        read.
        """
        with open(path, "rb") as file:  # noqa: PTH123 (any path-like)
            data = file.read()
        try:
            arrays = safetensors.numpy.load(data)
            for name, array in arrays.items():
                if array.dtype != np.bool_:
                    raise ValueError(f"tensor {name!r} holds {array.dtype}, expected booleans")
            if not arrays:
                raise ValueError("it holds no tensors")
        except (SafetensorError, KeyError, ValueError, TypeError, OverflowError) as error:
            raise ArgumentError(f"{os.fspath(path)} is no mask file: {error}") from None
        return cls(dict(sorted(arrays.items())))


def top_k(scores: npt.NDArray[np.floating], keep: int) -> BoolArray:
    """Mark the `keep` largest of a flat array; ties at the threshold go to the lower index.

    Returns a boolean array of the same length with exactly `keep` entries True.
    Raises ArgumentError when a score is NaN, for then there is no order.

    >>> top_k(np.array([1.0, 3.0, 1.0, 1.0]), 2).tolist()
    [True, True, False, False]
    """
    if keep <= 0:
        return np.zeros(scores.size, dtype=np.bool_)
    if np.isnan(scores.min()):
        raise ArgumentError(f"scores must be numbers, got NaN at index {int(np.argmax(np.isnan(scores)))}")
    if keep >= scores.size:
        return np.ones(scores.size, dtype=np.bool_)
    cut = np.partition(scores, scores.size - keep)[scores.size - keep]
    mask: BoolArray = scores > cut
    tied = np.flatnonzero(scores == cut)
    mask[tied[: keep - int(np.count_nonzero(mask))]] = True
    return mask


def _as_bool(name: str, values: npt.ArrayLike) -> BoolArray:
    try:
        array = np.array(values, order="C")  # which is what a file's bytes are taken from
    except ValueError as error:
        raise ArgumentError(f"mask {name!r}: {error}") from None
    if array.dtype != np.bool_:
        if array.dtype.kind not in "iu" or not np.isin(array, (0, 1)).all():
            raise ArgumentError(f"mask {name!r}: expected booleans, got {array.dtype} values")
        array = array.astype(np.bool_)
    array.flags.writeable = False
    return array
