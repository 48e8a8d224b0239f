"""Holding a part of a data set out, class by class."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tombola.errors import ArgumentError
from tombola.rng import Stream, check_seed

Indices = npt.NDArray[np.int64]


def hold_out(labels: npt.ArrayLike, fraction: float, seed: int, name: str) -> tuple[Indices, Indices]:
    """Indices kept and indices held out, both sorted; together every index once.

    `labels` are integers of shape (N,). Of a class with n images exactly round(fraction * n) are held
    out (Python's `round`), chosen by the stream (seed, name, "split"). Raises ArgumentError for a
    fraction outside [0, 1) and for one that keeps nothing.

    >>> kept, held = hold_out([0, 0, 0, 0, 1, 1, 1, 1], 0.25, seed=0, name="example")
    >>> len(kept), len(held)
    (6, 2)
    """
    check_fraction(fraction)
    _, classes, sizes = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    quota = np.array([round(fraction * n) for n in sizes.tolist()], dtype=np.int64)
    if quota.sum() == len(classes):
        raise ArgumentError(f"{name}: holding out {fraction!r} of {len(classes)} images leaves none")
    order = Stream(check_seed(seed), name, "split").permutation(len(classes))
    # Sorted by class, the drawn order kept within a class: a class's quota is the head of its run.
    runs = order[np.argsort(classes[order], kind="stable")]
    rank = np.arange(len(runs)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    held = rank < np.repeat(quota, sizes)
    return np.sort(runs[~held]), np.sort(runs[held])


def hold_out_validation(
    labels: npt.ArrayLike, fraction: float, seed: int, name: str
) -> tuple[Indices, Indices]:
    """`hold_out` for the validation split of the data set `name`.

    Raises ArgumentError, too, for a fraction above 0 that holds nothing out.
    """
    kept, held = hold_out(labels, fraction, seed, f"{name}/validation")
    if fraction > 0 and not len(held):
        raise ArgumentError(
            f"validation {fraction:g} holds none of the {len(kept)} training images out: "
            "give a greater fraction, or 0"
        )
    return kept, held


def check_fraction(fraction: float) -> float:
    """Return `fraction`, or raise ArgumentError when it is not in [0, 1)."""
    if not 0 <= fraction < 1:
        raise ArgumentError(f"the fraction held out must be in [0, 1), got {fraction!r}")
    return fraction
