"""Claim: what a mask costs per weight hardly depends on how many weights there are.

One linear layer of so many weights, edge-popup at density 0.5, bfloat16: threshold, mask, masked copy and the
scores' gradient, beside what dense training does in their place (a cast copy, a cast gradient). Scores move a
little before every measurement, as in a search. The sizes take turns, so that whatever else the machine does
meets all alike. Medians; the last line is the greatest over the least, of each.

    python benchmarks/scaling.py
"""

from __future__ import annotations

import math
import time
from statistics import median

import torch
from _machine import print_machine
from torch import nn

from tombola import EdgePopup, Source

MILLIONS = (0.1, 0.3, 1, 3, 10, 50)
ROUNDS, WARM_UP = 15, 3


def main() -> None:
    """One row for each size."""
    print_machine()
    sides = [round(math.sqrt(millions * 1e6)) for millions in MILLIONS]
    cases = [_Case(side) for side in sides]
    for _ in range(ROUNDS):
        for case in cases:
            case.measure()
    print(f"{'weights':>12} {'ns per weight':>14} {'dense, ns':>10}")
    costs = [tuple(1e9 * median(times) / case.weights for times in case.times) for case in cases]
    for case, (cost, dense) in zip(cases, costs, strict=True):
        print(f"{case.weights:12,} {cost:14.2f} {dense:10.2f}")
    ratios = [max(column) / min(column) for column in zip(*costs, strict=True)]
    print(f"greatest ÷ least: {ratios[0]:.2f}, of dense {ratios[1]:.2f}")


class _Case:
    """One size: a searched layer, a plain one, and the seconds that each took."""

    def __init__(self, side: int) -> None:
        self.weights = side**2
        self.layer, self.plain = (nn.Linear(side, side, bias=False) for _ in range(2))
        self.search = EdgePopup(Source(self.layer), 0.5)
        (self.scores,) = self.search.parameters()
        self.upstream = torch.randn(side, side).bfloat16()
        self.noise = 1e-4 * torch.randn(side, side)
        self.times: tuple[list[float], list[float]] = ([], [])
        for _ in range(WARM_UP):
            self._move()
            self._masked()
            self._cast()

    def measure(self) -> None:
        """As many steps as give some three million weights, at least one; one median of each kind."""
        steps: tuple[list[float], list[float]] = ([], [])
        for _ in range(max(1, min(20, round(3e6 / self.weights)))):
            self._move()
            for run, seconds in zip((self._masked, self._cast), steps, strict=True):
                began = time.perf_counter()
                run()
                seconds.append(time.perf_counter() - began)
        for times, seconds in zip(self.times, steps, strict=True):
            times.append(median(seconds))

    def _move(self) -> None:
        with torch.no_grad():
            self.scores.add_(self.noise)
        self.scores.grad = self.plain.weight.grad = None

    def _masked(self) -> None:
        self.search.step()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            weight = self.layer.weight
        weight.backward(self.upstream)  # type: ignore[no-untyped-call]

    def _cast(self) -> None:
        self.plain.weight.to(torch.bfloat16).backward(self.upstream)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
