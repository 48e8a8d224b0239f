"""Claim: a subset sum of 15 candidates at tolerance 0.01 takes at most 5 µs of a processor in a batch of
10^5 with numba, where any one within the tolerance will do (`within`), and at most 7 for the nearest, the
default; prints µs for every variant and path, and the ratio to trying all 2^15 subsets in numpy.

Medians of processor time over alternating rounds: every round runs all of them once, so that what
else the machine does falls on all alike. Candidates and targets are uniform in [-1, 1]. Sizes: 5 of 15.

    OMP_NUM_THREADS=1 python benchmarks/subset_sum.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from _machine import print_machine

from tombola.theory import kernels, meet, subset_sum
from tombola.theory.subset_sums import VARIANTS

ROUNDS = 7
BATCH = 100_000
FEW = 200
COUNT, TOLERANCE, SIZE = 15, 0.01, 5


def brute_force(targets: Any, candidates: Any) -> Any:
    """The nearest of all subsets of each target, one target after another."""
    members = (np.arange(1 << COUNT)[:, None] >> np.arange(COUNT) & 1).astype(np.float64)
    return [
        np.abs(members @ mine - target).argmin() for target, mine in zip(targets, candidates, strict=True)
    ]


def through(loops: kernels.Kernels, variant: str, targets: Any, candidates: Any) -> Any:
    """subset_sum by the given inner loops."""
    meet.kernels = lambda: loops  # type: ignore[assignment, attr-defined]
    size = SIZE if variant == "size" else None
    return subset_sum(targets, candidates, TOLERANCE, variant=variant, size=size)


def main() -> None:
    """Measure and print."""
    random = np.random.default_rng(0)
    targets, candidates = random.uniform(-1, 1, BATCH), random.uniform(-1, 1, (BATCH, COUNT))
    paths = {"numpy": kernels.NUMPY}
    if kernels.kernels() is not kernels.NUMPY:
        paths = {"compiled": kernels.kernels(), **paths}
    jobs: dict[str, tuple[Callable[[], Any], int]] = {}
    for path, loops in paths.items():
        for variant in VARIANTS:
            job = partial(through, loops, variant)
            job(targets[:FEW], candidates[:FEW])  # compiles, or reads what was compiled before
            jobs[f"{path} {variant}"] = partial(job, targets, candidates), BATCH
    jobs["all 2^15 subsets"] = partial(brute_force, targets[:FEW], candidates[:FEW]), FEW
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(ROUNDS):
        for name, (function, problems) in jobs.items():
            began = time.process_time()
            function()
            times[name].append((time.process_time() - began) / problems * 1e6)
    print_machine()
    naive = median(times["all 2^15 subsets"])
    print(
        f"n = {COUNT}, tolerance {TOLERANCE}, batches of {BATCH:,} ({FEW} for all subsets), {ROUNDS} rounds"
    )
    print("µs per subset sum              median     least      most     of all 2^15")
    for name, those in times.items():
        middle = median(those)
        print(f"{name:28} {middle:8.2f}  {min(those):8.2f}  {max(those):8.2f}     1/{naive / middle:.0f}")


if __name__ == "__main__":
    main()
