"""What a ticket holds -> the network's weights, and the digest of the network."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from tombola.source.init import FloatArray
from tombola.source.recipe import RandomTensor
from tombola.ticket.format import Contents

# Weights drawn at once. Scattered words take some 70 bytes each while they are drawn.
_RUN = 1 << 17


def rebuild_weights(contents: Contents) -> dict[str, FloatArray]:
    """Every random tensor with its kept weights drawn again and +0.0 where pruned."""
    return {tensor.name: rebuild_tensor(contents, tensor) for tensor in contents.recipe.tensors}


def rebuild_tensor(contents: Contents, tensor: RandomTensor) -> FloatArray:
    """One random tensor, drawn run by run, so that little more memory is needed than it takes itself."""
    mask = contents.mask[tensor.name].reshape(-1)
    redraws = contents.redraws[tensor.name]
    weights = np.zeros(tensor.size, dtype=np.float32)
    done = 0
    for start in range(0, tensor.size, _RUN):
        kept = mask[start : start + _RUN]
        run = weights[start : start + _RUN]
        np.copyto(run, contents.recipe.initial_run(tensor, start, run.size), where=kept)
        positions = np.flatnonzero(kept)
        redrawn = redraws[done : done + positions.size]
        done += positions.size
        changed = np.flatnonzero(redrawn)
        where = positions[changed]
        if redraws.dtype == np.bool_:
            run[where] = -run[where]
        elif changed.size:
            contents.recipe.overwrite(weights, tensor, start + where, redrawn[changed])
    return weights.reshape(tensor.shape)


def network_digest(contents: Contents) -> str:
    """SHA-256 over the random tensors (name, shape, little-endian float32 weights), the fixed tensors
    and the statistics, each in the model's order: 64 hex digits, the same on every machine.
    """
    digest = hashlib.sha256()
    for name, values in _network(contents):
        _update(digest, name, values)
    return digest.hexdigest()


def _network(contents: Contents) -> Iterator[tuple[str, FloatArray]]:
    for tensor in contents.recipe.tensors:
        yield tensor.name, rebuild_tensor(contents, tensor)
    for fixed in contents.recipe.fixed:
        yield fixed.name, np.full(fixed.shape, fixed.value, dtype=np.float32)
    yield from contents.statistics.items()


def _update(digest: hashlib._Hash, name: str, values: FloatArray) -> None:
    """Feed one tensor: its name and shape as length-prefixed text, its data as little-endian bytes."""
    for text in (name, ",".join(str(size) for size in values.shape)):
        digest.update(len(text.encode()).to_bytes(8, "little") + text.encode())
    digest.update(np.ascontiguousarray(values, dtype="<f4").data)
