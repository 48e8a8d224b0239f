"""Whether a source fits into memory, which is asked before it is drawn: one that does not would be drawn for
long, and then end the process without a word.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

from tombola.errors import ArgumentError
from tombola.source.recipe import Recipe

_DRAWN, _KEPT = 5, 1
"""Bytes of a weight while its tensor is drawn, a float32 and whether it is alive; and of each, whether it is
kept."""
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where Linux tells what a container may take, by the version of its control groups."""


def check_memory(recipe: Recipe, density: float) -> None:
    """Raise ArgumentError for a source, of this density, that takes more memory than there is, with one
    tensor drawn at a time: what takes less may still be too much.
    """
    sizes = [math.prod(tensor.shape) for tensor in recipe.tensors]
    wanted = _DRAWN * max(sizes) + _KEPT * sum(sizes)
    if wanted > (there := memory()):
        raise ArgumentError(
            f"a source of density {density:g} would have {sum(sizes):.2g} weights, which take "
            f"{wanted / 2**30:.3g} GiB where there are {there / 2**30:.3g}: a greater density, tolerance or "
            "error, or a smaller width_factor, takes fewer"
        )


def memory() -> float:
    """Bytes that this process may take at most: the machine's, or its container's; infinite where neither is
    known.
    """
    return min([_physical(), *map(_limit, _LIMITS)])


def _physical() -> float:
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return math.inf


def _limit(file: Path) -> float:
    try:
        return float(file.read_text())
    except (OSError, ValueError):  # no such file, or "max"
        return math.inf
