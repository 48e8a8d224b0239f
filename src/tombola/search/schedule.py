"""Schedules: step -> value."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Cosine:
    """A learning rate that rises linearly to `peak` over `warmup` steps, then falls to 0 along half a
    cosine over the rest of `steps` (paper A's schedule; Loshchilov and Hutter 2017).

    >>> Cosine(peak=0.1, steps=100)(0), Cosine(peak=0.1, steps=100)(50)
    (0.1, 0.05)
    """

    peak: float
    steps: int
    warmup: int = 0

    def __call__(self, step: int) -> float:
        """The value for the update number `step`, counted from 0."""
        if step < self.warmup:
            return self.peak * (step + 1) / self.warmup
        progress = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.peak * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
