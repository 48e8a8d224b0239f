"""Claim: on a GPU, too, a search's step costs hardly more than plain training's.

ResNet-18 on 32×32 images, bfloat16, channels-last, batch 512: edge-popup's step over the dense one's, eager
and compiled, medians of 30 alternating pairs of steps. Without a GPU it says so and ends.

    python benchmarks/gpu.py
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import quantiles

import torch
import torch.nn.functional as F
from _machine import print_machine
from search_step import compare
from torch import nn

from tombola import EdgePopup, Source, models

BATCH = 512


def main() -> None:
    """One row for each way to run it."""
    print_machine()
    if not torch.cuda.is_available():
        print("skipped: torch sees no GPU here")
        return
    print(torch.cuda.get_device_name())
    for compiled in (False, True):
        plain, model = _resnet(), _resnet()
        search = EdgePopup(Source(model, seed=0), 0.5)
        dense_step = _step(plain, plain.parameters(), lambda: None, compiled)
        search_step = _step(model, search.parameters(), search.step, compiled)
        ratios, seconds = compare(dense_step, search_step, pairs=30, warm=5)
        low, middle, high = quantiles(ratios, n=4)
        how = "compiled" if compiled else "eager"
        print(
            f"ResNet-18, {how:8} search ÷ dense {middle:.3f} (middle half {low:.3f} to {high:.3f}), "
            f"dense {1000 * seconds:.1f} ms, {BATCH / seconds:,.0f} images/s",
            flush=True,
        )


def _resnet() -> nn.Module:
    return models.resnet18().cuda().to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _step(
    model: nn.Module, parameters: Iterable[nn.Parameter], after: Callable[[], None], compiled: bool
) -> Callable[[], None]:
    optimizer = torch.optim.SGD(parameters, lr=1e-3, momentum=0.9, weight_decay=1e-4)
    x = torch.randn(BATCH, 3, 32, 32, device="cuda").contiguous(memory_format=torch.channels_last)
    y = torch.randint(0, 10, (BATCH,), device="cuda")
    run = torch.compile(model) if compiled else model

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = F.cross_entropy(run(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        after()
        torch.cuda.synchronize()

    return step


if __name__ == "__main__":
    main()
