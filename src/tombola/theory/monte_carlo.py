"""What subset sums and redraws need in truth, by trials. Every number drawn is a function of the seed.

Targets and candidates are uniform on (-1, 1), in steps of 2^-52, so that errors far below float32's show.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tombola.errors import ArgumentError
from tombola.rng import Stream, check_seed
from tombola.source.density import check_density
from tombola.theory.bounds import check_range
from tombola.theory.kernels import Bools, Floats, Ints
from tombola.theory.meet import MOST
from tombola.theory.subset_sums import subset_sum

PURPOSE = "monte carlo"
NEVER = 1 << 62
"""The count of a trial that even the greatest number of usable candidates did not solve."""
_LEAST_TOLERANCE = 1e-6
_POSITIONS = 64
_DRAWS = 64


def candidates_needed(tolerance: float, density: float, trials: int, seed: int) -> Ints:
    """(trials,): how many candidates it took until some of the usable ones came within `tolerance`.

    Each trial has one target and an endless row of candidates, each usable with probability `density`. More
    candidates never spoil a solution, so the success probability at n is the fraction of trials that took
    at most n, for all n at once; those with different densities are drawn apart.

    Raises ArgumentError for numbers out of range; a tolerance below 1e-6 would take hours.
    """
    check_range("tolerance", tolerance, math.inf)
    if tolerance < _LEAST_TOLERANCE:
        raise ArgumentError(
            f"tolerance must be at least {_LEAST_TOLERANCE:g} to be measured, got {tolerance}"
        )
    _check(density, trials, seed)
    name = f"candidates at tolerance {float(tolerance)!r}, density {float(density)!r}"
    targets = uniform(Stream(seed, f"{name}: targets", PURPOSE), trials)
    usable = uniform(Stream(seed, f"{name}: candidates", PURPOSE), trials * MOST).reshape(trials, MOST)
    needed = np.where(np.abs(targets) <= tolerance, 0, NEVER)
    for count in range(1, MOST + 1):
        left = np.flatnonzero(needed == NEVER)
        if not left.size:
            break
        found = subset_sum(targets[left], usable[left, :count], tolerance, variant="within")
        needed[left[found.solved]] = count
    return _positions(needed, density, seed, name)


def _positions(needed: Ints, density: float, seed: int, name: str) -> Ints:
    """Where the `needed`-th usable candidate stands in a row of candidates that are usable or not."""
    positions = np.where(needed == NEVER, NEVER, 0)
    seen = np.zeros_like(needed)
    left = np.flatnonzero((needed > 0) & (needed < NEVER))
    block = 0
    while left.size:
        stream = Stream(seed, f"{name}: usable", PURPOSE, block)
        coins = stream.bernoulli(left.size * _POSITIONS, density).reshape(left.size, _POSITIONS)
        counts = seen[left, None] + coins.cumsum(axis=1)
        reached = counts >= needed[left, None]
        done = reached[:, -1]
        positions[left[done]] = block * _POSITIONS + reached[done].argmax(axis=1) + 1
        seen[left] = counts[:, -1]
        left = left[~done]
        block += 1
    return positions


def log_errors(counts: Sequence[int], density: float, trials: int, seed: int) -> Floats:
    """(trials, counts): log |nearest subset sum - target| among the first n of a trial's candidates.

    `counts` n at which no more than 40 candidates are to be expected usable: 20 / density at most; where
    there are more all the same, the first 40 count. Raises ArgumentError for numbers out of range.
    """
    _check(density, trials, seed)
    if not counts or min(counts) < 1 or max(counts) * density > MOST / 2:
        raise ArgumentError(f"counts must be in [1, {MOST / 2 / density:g}], got {list(counts)}")
    name = f"errors at density {float(density)!r}"
    most = max(counts)
    targets = uniform(Stream(seed, f"{name}: targets", PURPOSE), trials)
    candidates = uniform(Stream(seed, f"{name}: candidates", PURPOSE), trials * most).reshape(trials, most)
    coins = Stream(seed, f"{name}: usable", PURPOSE).bernoulli(trials * most, density)
    alive: Bools = coins.reshape(trials, most)
    alive &= alive.cumsum(axis=1) <= MOST
    columns = [
        subset_sum(targets, candidates[:, :count], 1.0, alive=alive[:, :count]).errors for count in counts
    ]
    # A sum may hit its target to the last bit; its error is then below float64's.
    logs: Floats = np.log(np.maximum(np.stack(columns, axis=1), 2.0**-53))
    return logs


def redraws_taken(tolerance: float, trials: int, seed: int, weight: float | None = None) -> Ints:
    """(trials,): how often u was drawn until |u a - w| <= `tolerance`, at constant width.

    First a is drawn until a >= 1 - tolerance / 2, for the greatest of a layer's weights is taken to be 1.
    `weight`: w; None: uniform on (-1, 1), one for each trial. Both a and u are uniform on (-1, 1), as in
    paper A, which shows a draw of u to succeed with probability of at least tolerance / 4.

    Raises ArgumentError for numbers out of range.
    """
    check_range("tolerance", tolerance, 1.0)
    if tolerance < _LEAST_TOLERANCE:
        raise ArgumentError(
            f"tolerance must be at least {_LEAST_TOLERANCE:g} to be measured, got {tolerance}"
        )
    _check(1.0, trials, seed)
    if weight is not None and not -1 <= weight <= 1:
        raise ArgumentError(f"weight must be in [-1, 1], got {weight}")
    said = None if weight is None else float(weight)
    name = f"redraws at tolerance {float(tolerance)!r}, weight {said!r}"
    # A uniform a, given that it is above the threshold, is uniform there.
    above = uniform(Stream(seed, f"{name}: a", PURPOSE), trials)
    factors = 1 - tolerance / 4 + above * tolerance / 4
    weights = np.full(trials, weight) if weight is not None else uniform(Stream(seed, name, PURPOSE), trials)
    taken = np.zeros(trials, np.int64)
    left = np.arange(trials)
    block = 0
    while left.size:
        stream = Stream(seed, f"{name}: u", PURPOSE, block)
        draws = uniform(stream, left.size * _DRAWS).reshape(left.size, _DRAWS)
        good = np.abs(draws * factors[left, None] - weights[left, None]) <= tolerance
        done = good.any(axis=1)
        taken[left[done]] = block * _DRAWS + good[done].argmax(axis=1) + 1
        left = left[~done]
        block += 1
    return taken


def uniform(stream: Stream, count: int) -> Floats:
    """`count` float64 in (-1, 1): midpoints of 2^52 equal bins, two words each, never 0."""
    words = stream.words(2 * count).astype(np.uint64)
    bins = (words[0::2] << np.uint64(20)) | (words[1::2] >> np.uint64(12))
    values: Floats = (2 * bins.astype(np.float64) + 1 - 2.0**52) * 2.0**-52
    return values


def _check(density: float, trials: int, seed: int) -> None:
    check_density(density)
    check_seed(seed)
    if isinstance(trials, bool) or not isinstance(trials, (int, np.integer)) or trials < 1:
        raise ArgumentError(f"trials must be a whole number of at least 1, got {trials!r}")
