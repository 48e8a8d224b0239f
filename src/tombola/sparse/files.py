"""A trained sparse network as a safetensors file, dense or with the kept weights alone; and back."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Literal

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError

from tombola.errors import ArgumentError
from tombola.files import write_atomically
from tombola.mask import BoolArray

Layout = Literal["dense", "sparse"]

_VALUES, _BITS, _SHAPE = ".values", ".mask_bits", ".shape"


def save(
    state: Mapping[str, torch.Tensor],
    mask: Mapping[str, BoolArray],
    path: str | os.PathLike[str],
    layout: Layout = "dense",
) -> int:
    """Write a state dict; returns the number of bytes.

    In the layout `sparse` a tensor `name` that is not kept whole becomes `name.values`, the kept weights
    in flat (C) order; `name.mask_bits`, the mask, eight entries a byte from the lowest bit, as uint8; and
    `name.shape`, the sizes, as int64.
    Raises ArgumentError for an unknown layout, OSError with an old file left intact.
    """
    if layout not in ("dense", "sparse"):
        raise ArgumentError(f"layout must be dense or sparse, got {layout!r}")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    if layout == "sparse":
        for name, kept in mask.items():
            if not kept.all():
                whole = tensors.pop(name)
                tensors[name + _VALUES] = whole[torch.from_numpy(kept.copy())]
                tensors[name + _BITS] = torch.from_numpy(np.packbits(kept, bitorder="little"))
                tensors[name + _SHAPE] = torch.tensor(kept.shape, dtype=torch.int64)
    # One entry of metadata at most: the library writes several in random order.
    encoded = safetensors.torch.save(tensors, metadata={"format": "pt"})
    write_atomically(path, encoded)
    return len(encoded)


def load(path: str | os.PathLike[str]) -> dict[str, torch.Tensor]:
    """The dense state dict of a file that sparse training has saved, in either layout.

    Raises ArgumentError for a file that is none, OSError when it cannot be read.
    """
    with open(path, "rb") as file:  # noqa: PTH123 (any path-like)
        data = file.read()
    try:
        stored = safetensors.torch.load(data)
        packed = [name.removesuffix(_BITS) for name in stored if name.endswith(_BITS)]
        for name in packed:
            stored[name] = _unpacked(*(stored.pop(name + end) for end in (_VALUES, _BITS, _SHAPE)))
    except (SafetensorError, KeyError, ValueError, RuntimeError, TypeError) as error:
        reason = str(error).partition("\n")[0]  # torch's go on for pages
        raise ArgumentError(f"{os.fspath(path)} holds no trained network: {reason}") from None
    return stored


def _unpacked(values: torch.Tensor, bits: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
    sizes = shape.tolist()
    if min(sizes, default=0) < 0 or bits.numel() != (math.prod(sizes) + 7) // 8:
        raise ValueError(f"{bits.numel()} bytes of mask for a tensor of shape {sizes}")
    kept = np.unpackbits(bits.numpy(), count=math.prod(sizes), bitorder="little").astype(np.bool_)
    if values.numel() != int(np.count_nonzero(kept)):
        raise ValueError(f"{values.numel()} values for {np.count_nonzero(kept)} kept weights")
    whole = torch.zeros(len(kept), dtype=values.dtype)
    whole[torch.from_numpy(kept)] = values
    return whole.reshape(sizes)
