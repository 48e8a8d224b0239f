"""Claim: redraws and data come almost free.

IteRand (period 300, rate 0.1) over edge-popup: what one redraw takes, over 300 of the steps without. And a
step that fetches its batch (order, crops, flips, normalisation) and keeps the books of an epoch, as `tombola
search` does, over a bare step on one batch: medians of 60 alternating pairs.

    python benchmarks/epoch.py
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from statistics import median, quantiles

import torch
from _machine import print_machine
from search_step import BATCH, NETWORKS, compare, step_of

from tombola import EdgePopup, IteRand, Source
from tombola.data import Augmentation, Batches, Split

PERIOD = 300


def main() -> None:
    """Redraws for each network, data for those whose steps are short enough to show what it takes."""
    print_machine()
    for name, make in NETWORKS.items():
        model = make()
        search = IteRand(Source(model, seed=0), 0.5, period=PERIOD, rate=0.1)
        step = step_of(model, search.parameters(), "bfloat16", search.step)
        plain = median([_seconds(step) for _ in range(12)][2:])
        search.steps = PERIOD
        redraw = median(_seconds(search.after_step) for _ in range(5))
        ratio = 1 + redraw / (PERIOD * plain)
        print(f"{name:14} IteRand ÷ edge-popup, a period {ratio:.4f} (a redraw: {redraw:.3f} s)", flush=True)
    for name in ("Conv-6", "Conv-6 × 0.25"):
        low, middle, high = quantiles(_with_data_over_without(name), n=4)
        print(f"{name:14} step with data ÷ bare step {middle:.3f} (middle half {low:.3f} to {high:.3f})")


def _with_data_over_without(name: str, pairs: int = 60) -> list[float]:
    """Random images: what they show does not matter to what fetching them takes."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (50_000, 32, 32, 3), dtype=torch.uint8, generator=generator)
    split = Split(images, torch.randint(0, 10, (50_000,), generator=generator))
    batches = Batches(
        split,
        BATCH,
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        augmentation=Augmentation(4, True),
        shuffle=True,
        channels_last=True,
    )
    epoch = batches.epoch(0)
    model = NETWORKS[name]()
    search = EdgePopup(Source(model, seed=0), 0.5)
    bare = step_of(model, search.parameters(), "bfloat16", search.step)
    learn = step_of(model, search.parameters(), "bfloat16", search.step, lambda: next(epoch))
    right = torch.zeros((), dtype=torch.int64)

    def with_data() -> None:
        loss, logits, y = learn()
        right.add_((logits.argmax(1) == y).sum())
        assert math.isfinite(loss.item())

    return compare(bare, with_data, pairs)[0]


def _seconds(step: Callable[[], object]) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
