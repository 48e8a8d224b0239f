"""Schedules: step -> value."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral

from tombola.errors import ArgumentError
from tombola.source.density import check_density

DensitySchedule = Callable[[int], float | Mapping[str, float]]
"""Steps so far -> the density to keep."""


@dataclass(frozen=True)
class Geometric:
    """A density that falls from `start` to `final` by `levels` equal factors, spread evenly over `steps`
    (paper B anneals the kept fraction so, on the way to sparse strong tickets).

    >>> [Geometric(start=0.8, final=0.2, steps=10, levels=2)(step) for step in (0, 4, 5, 10, 99)]
    [0.8, 0.8, 0.4, 0.2, 0.2]

    Raises ArgumentError for densities outside (0, 1] or that rise, and for fewer than one step or level.
    """

    start: float
    final: float
    steps: int
    levels: int

    def __post_init__(self) -> None:
        # As Python's numbers, by which a saved search is compared.
        object.__setattr__(self, "start", check_density(self.start, "the density to anneal from"))
        object.__setattr__(self, "final", check_density(self.final, "the density to anneal to"))
        if self.final > self.start:
            raise ArgumentError(f"annealing goes down, from {self.start:g} it cannot reach {self.final:g}")
        for name, count in (("steps", self.steps), ("levels", self.levels)):
            if isinstance(count, bool) or not isinstance(count, Integral) or count < 1:
                raise ArgumentError(f"annealing takes a whole number of {name}, at least 1, got {count!r}")
            object.__setattr__(self, name, int(count))

    def __call__(self, step: int) -> float:
        """The density after `step` updates."""
        level = max(0, step) * self.levels // self.steps
        if level >= self.levels:
            return self.final
        return self.start * float((self.final / self.start) ** (level / self.levels))


@dataclass(frozen=True)
class Cubic:
    """A density that falls from `start`, at step `begin`, to `final`, at step `end`, along a cubic: fast at
    first, when there is most to spare (Zhu and Gupta 2018, equation 1).

    >>> [Cubic(start=1.0, final=0.5, begin=0, end=2)(step) for step in (0, 1, 2)]
    [1.0, 0.5625, 0.5]

    Raises ArgumentError for densities outside (0, 1] and for steps that do not rise.
    """

    start: float
    final: float
    begin: int
    end: int

    def __post_init__(self) -> None:
        check_density(self.start, "the density to start from")
        check_density(self.final, "the density to end with")
        if not 0 <= self.begin < self.end:
            raise ArgumentError(f"begin must come before end, got {self.begin} and {self.end}")

    def __call__(self, step: int) -> float:
        """The density after `step` updates."""
        if step >= self.end:
            return self.final
        left = 1.0 - max(0, step - self.begin) / (self.end - self.begin)
        return self.final + (self.start - self.final) * left**3


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
