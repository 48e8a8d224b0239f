"""Claim: a step of a search costs hardly more than a step of plain training of the same network.

Edge-popup's step over the dense one's, at the same precision, on batches of 128 random images of 32×32:
forward, backward, optimiser, and for the search its masks. Dense steps and search steps alternate; printed
are the median ratio of neighbours and the middle half of the ratios.

    python benchmarks/search_step.py [PRECISION [PAIRS]]

PRECISION: bfloat16 (autocast) or float32. bfloat16 and 12 pairs of steps unless said otherwise.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from statistics import median, quantiles

import torch
import torch.nn.functional as F
from _machine import print_machine
from torch import nn

from tombola import EdgePopup, Source, models

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "ResNet-18": models.resnet18,
    "Conv-6": models.conv6,
    "Conv-6 × 0.25": lambda: models.conv6(width=0.25),
}
BATCH = 128
Batch = tuple[torch.Tensor, torch.Tensor]


def main() -> None:
    """One row for each network."""
    precision, pairs = (*sys.argv[1:], *("bfloat16", "12")[len(sys.argv) - 1 :])
    if precision not in ("bfloat16", "float32"):
        sys.exit(f"precision is bfloat16 or float32, got {precision!r}")
    print_machine()
    print(f"{precision}, batch {BATCH}, {pairs} pairs of steps")
    print(f"{'network':14} {'weights':>11} {'search ÷ dense':>15} {'middle half':>15} {'dense, ms':>10}")
    for name, make in NETWORKS.items():
        dense, search, weights = steps_of(make, precision)
        ratios, seconds = compare(dense, search, int(pairs))
        low, _, high = quantiles(ratios, n=4)
        print(
            f"{name:14} {weights:11,} {median(ratios):15.3f} {f'{low:.3f} to {high:.3f}':>15} "
            f"{1000 * seconds:10.1f}",
            flush=True,
        )


def steps_of(
    make: Callable[[], nn.Module], precision: str
) -> tuple[Callable[[], object], Callable[[], object], int]:
    """A step of dense training and one of edge-popup at density 0.5, and how many weights are searched."""
    plain, model = make(), make()
    search = EdgePopup(Source(model, seed=0), 0.5)
    dense = step_of(plain, plain.parameters(), precision, lambda: None)
    return dense, step_of(model, search.parameters(), precision, search.step), search.mask.total


def step_of(
    model: nn.Module,
    parameters: Iterable[nn.Parameter],
    precision: str,
    after: Callable[[], None],
    fetch: Callable[[], Batch] | None = None,
) -> Callable[[], tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """A training step on the batch that `fetch` brings, else on one random batch. It returns loss, logits and
    labels.
    """
    model.train()
    optimizer = torch.optim.SGD(parameters, lr=1e-3, momentum=0.9, weight_decay=1e-4)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(BATCH, 3, 32, 32, generator=generator).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (BATCH,), generator=generator)

    def step() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        x, y = fetch() if fetch is not None else (images, labels)
        optimizer.zero_grad()
        low = precision == "bfloat16"
        with torch.autocast("cpu", dtype=torch.bfloat16) if low else nullcontext():
            logits = model(x)
        loss = F.cross_entropy(logits.float(), y)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        after()
        return loss.detach(), logits.detach(), y

    return step


def compare(
    first: Callable[[], object], second: Callable[[], object], pairs: int, warm: int = 2
) -> tuple[list[float], float]:
    """Seconds of `second` over those of the `first` beside it, for each pair; and the median of `first`'s."""
    for _ in range(warm):
        first(), second()
    times = []
    for number in range(pairs):
        both = {}
        # Which goes first changes, so that neither always finds the caches as the other has left them.
        for step in (first, second) if number % 2 else (second, first):
            began = time.perf_counter()
            step()
            both[step] = time.perf_counter() - began
        times.append((both[first], both[second]))
    return [b / a for a, b in times], median(a for a, _ in times)


if __name__ == "__main__":
    main()
