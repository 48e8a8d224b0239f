"""What a ticket holds -> the network's weights, and the digest of the network."""

from __future__ import annotations

import hashlib

import numpy as np

from tombola.source.init import FloatArray
from tombola.ticket.format import Contents


def rebuild_weights(contents: Contents) -> dict[str, FloatArray]:
    """Every random tensor with its kept weights drawn again and +0.0 where pruned."""
    weights = {}
    for tensor in contents.recipe.tensors:
        mask, generations = contents.mask[tensor.name], contents.generations[tensor.name]
        values = np.where(mask, contents.recipe.initial(tensor), np.float32(0.0))
        later = np.flatnonzero(generations)
        positions = np.flatnonzero(mask)[later]
        contents.recipe.overwrite(values, tensor, positions, generations[later])
        weights[tensor.name] = values
    return weights


def network_digest(contents: Contents) -> str:
    """SHA-256 over the random tensors (name, shape, little-endian float32 weights), the fixed tensors
    and the statistics, each in the model's order: 64 hex digits, the same on every machine.
    """
    digest = hashlib.sha256()
    for name, values in rebuild_weights(contents).items():
        _update(digest, name, values)
    for fixed in contents.recipe.fixed:
        _update(digest, fixed.name, np.full(fixed.shape, fixed.value, dtype=np.float32))
    for name, values in contents.statistics.items():
        _update(digest, name, values)
    return digest.hexdigest()


def _update(digest: hashlib._Hash, name: str, values: FloatArray) -> None:
    """Feed one tensor: its name and shape as length-prefixed text, its data as little-endian bytes."""
    for text in (name, ",".join(str(size) for size in values.shape)):
        digest.update(len(text.encode()).to_bytes(8, "little") + text.encode())
    digest.update(np.ascontiguousarray(values, dtype="<f4").data)
