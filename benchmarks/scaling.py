"""Claim: what a mask costs per weight hardly depends on how many weights there are.

One linear layer of so many weights, edge-popup at density 0.5, bfloat16: threshold, mask, masked copy and the
scores' gradient, beside what dense training does in their place (a cast copy, a cast gradient). Scores move a
little before every measurement, as in a search. Medians; the last line is the greatest cost over the least.

    python benchmarks/scaling.py
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from statistics import median

import torch
from _machine import print_machine
from torch import nn

from tombola import EdgePopup, Source

MILLIONS = (0.1, 0.3, 1, 3, 10, 50)


def main() -> None:
    """One row for each size."""
    print_machine()
    print(f"{'weights':>12} {'ns per weight':>14} {'dense, ns':>10}")
    costs = []
    for millions in MILLIONS:
        side = round(math.sqrt(millions * 1e6))
        repeats = max(15, min(200, round(30 / millions)))
        cost, dense = (1e9 * seconds / side**2 for seconds in _seconds(side, repeats))
        costs.append(cost)
        print(f"{side**2:12,} {cost:14.2f} {dense:10.2f}", flush=True)
    print(f"greatest ÷ least: {max(costs) / min(costs):.2f}")


def _seconds(side: int, repeats: int) -> tuple[float, float]:
    layer = nn.Linear(side, side, bias=False)
    search = EdgePopup(Source(layer), 0.5)
    plain = nn.Linear(side, side, bias=False)
    upstream = torch.randn(side, side).bfloat16()
    noise = 1e-4 * torch.randn(side, side)
    (scores,) = search.parameters()

    def masked() -> None:
        search.step()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            weight = layer.weight
        weight.backward(upstream)

    def cast() -> None:
        plain.weight.to(torch.bfloat16).backward(upstream)

    times: dict[Callable[[], None], list[float]] = {masked: [], cast: []}
    for _ in range(repeats + 2):
        with torch.no_grad():
            scores.add_(noise)
        scores.grad = plain.weight.grad = None
        for run, measured in times.items():
            began = time.perf_counter()
            run()
            measured.append(time.perf_counter() - began)
    return median(times[masked][2:]), median(times[cast][2:])


if __name__ == "__main__":
    main()
