"""IteRand: edge-popup with iterative randomisation of the pruned weights.

Chijiwa et al., "Pruning randomly initialized neural networks with iterative randomization",
NeurIPS 2021 (paper A), section 3.
"""

from __future__ import annotations

from numbers import Integral, Real

from tombola.errors import ArgumentError
from tombola.search.base import Search
from tombola.search.counts import LayerDensity
from tombola.search.schedule import DensitySchedule
from tombola.source.density import AnyRule
from tombola.source.network import Source


class IteRand(Search):
    """Every `period` optimiser steps, redraw each pruned, alive weight with probability `rate`.

    A weight counts as pruned by the scores as they stand after that step, and gets its new value
    from its layer's initial distribution. Kept weights and all scores stay. `rate=1` is the naive
    variant of the paper; `rate=0` or `period=None` is edge-popup.

    Parameters: `period` >= 1 in optimiser steps, or None (paper A: 300 on CIFAR-10, 1000 on
    ImageNet); `rate` in [0, 1] (paper A: 0.1); the others as in `Search`.
    Raises ArgumentError for a `period` or `rate` out of range.
    """

    def __init__(
        self,
        source: Source,
        density: LayerDensity | DensitySchedule = 0.5,
        period: int | None = 300,
        rate: float = 0.1,
        *,
        rule: AnyRule | None = None,
        scope: str = "layer",
        absolute: bool = False,
        score_init: str = "fan_in",
    ) -> None:
        if period is not None and (type(period) is bool or not isinstance(period, Integral) or period < 1):
            raise ArgumentError(
                f"period is a number of optimiser steps, at least 1 (or None), got {period!r}"
            )
        if isinstance(rate, bool) or not isinstance(rate, Real) or not 0.0 <= rate <= 1.0:
            raise ArgumentError(f"rate is the probability of a redraw, in [0, 1], got {rate!r}")
        super().__init__(source, density, rule=rule, scope=scope, absolute=absolute, score_init=score_init)
        self.period: int | None = None if period is None else int(period)
        self.rate: float = float(rate)
        self.settings |= {"period": self.period, "rate": self.rate}
        if period is not None and rate > 0:
            source.track_generations(self.scores)

    def after_step(self) -> None:
        """Redraw when a period is full; the round's number is the new weights' generation."""
        if self.period is not None and self.rate > 0 and self.steps % self.period == 0:
            for name, pruned in self.each_pruned():  # one mask at a time: a boolean for every weight is much
                self.source.redraw({name: pruned}, self.rate, generation=self.steps // self.period)
