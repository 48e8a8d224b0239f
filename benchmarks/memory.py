"""Claim: a search needs little more memory than training the same network.

The peak of what torch allocates over a step (weights, masked or cast copies, scores, gradients, momentum),
at bfloat16, for a batch of two images, so that activations hardly count; a search's over dense training's.
numpy's temporaries come on top: a boolean for each weight of one layer at a time, or of a quarter of a
million. IteRand's generations take one byte per weight for 255 rounds and four then; a sparse source's edges
one.

    python benchmarks/memory.py
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from _machine import print_machine
from torch import nn

from tombola import EdgePopup, IteRand, Source, models


def main() -> None:
    """Bytes per weight of ResNet-18 under each."""
    print_machine()
    plain = models.resnet18()
    dense = _peak(plain, plain.parameters(), lambda: None)
    weights = sum(p.numel() for p in plain.parameters())
    print(f"ResNet-18, {weights:,} parameters")
    print(f"{'dense':30} {dense / weights:6.2f} bytes per weight")
    for density in (1.0, 0.5):
        kinds: dict[str, Callable[[Source, float], EdgePopup | IteRand]] = {
            "edge-popup": EdgePopup,
            "IteRand, after a redraw": _iterand,
        }
        for name, kind in kinds.items():
            model = models.resnet18()
            search = kind(Source(model, density=density), 0.3)
            peak = _peak(model, search.parameters(), search.step)
            source = "" if density == 1.0 else f", source {density}"
            print(f"{name + source:36} {peak / weights:6.2f} bytes per weight, {peak / dense:.3f} of dense")


def _iterand(source: Source, density: float) -> IteRand:
    return IteRand(source, density, period=1)


def _peak(model: nn.Module, parameters: Iterable[nn.Parameter], after: Callable[[], None]) -> int:
    """Bytes at the worst moment of the third step."""
    optimizer = torch.optim.SGD(parameters, lr=0.1, momentum=0.9)
    x, y = torch.randn(2, 3, 32, 32), torch.tensor([0, 1])

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(x)
        F.cross_entropy(logits.float(), y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        after()

    for _ in range(2):
        step()
    optimizer.zero_grad()
    held = [*model.parameters(), *model.buffers()]
    held += [
        value for state in optimizer.state.values() for value in state.values() if torch.is_tensor(value)
    ]
    lasting = sum(tensor.untyped_storage().nbytes() for tensor in held)
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as seen:
        step()
    now, most = 0, 0
    events = [event for event in seen.profiler.kineto_results.events() if event.name() == "[memory]"]
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return lasting + most


if __name__ == "__main__":
    main()
