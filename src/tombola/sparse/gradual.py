"""Gradual magnitude pruning along a cubic schedule.

Zhu and Gupta, "To prune, or not to prune: exploring the efficacy of pruning for model compression", ICLR
workshop 2018, equation 1.
"""

from __future__ import annotations

import torch

from tombola.errors import ArgumentError
from tombola.search.schedule import Cubic
from tombola.source.density import check_density
from tombola.source.network import Source
from tombola.sparse.base import SparseTraining, check_free, fit
from tombola.sparse.options import check_steps
from tombola.sparse.ranking import counts_in, keep_best, magnitudes


class Gradual(SparseTraining):
    """Starts from the whole source and drops the weights of least magnitude, ever more of them.

    Parameters
    ----------
    source : the network to train, attached.
    density : fraction of all weights kept in the end, in (0, the source's].
    begin, end : optimiser steps between which the density falls, d(t) = d_f + (d_s - d_f) (1 - (t - begin) /
        (end - begin))³. Give an `end` within your training.
    period : steps between updates; there is one at `end`, too.
    scope : `global`, one threshold over all layers, or `layer`, which thins the source evenly.

    A weight once dropped stays so. Raises ArgumentError for an option out of range.
    """

    def __init__(
        self,
        source: Source,
        density: float,
        begin: int = 0,
        end: int = 10_000,
        period: int = 100,
        *,
        scope: str = "global",
    ) -> None:
        check_free(source)
        self.begin, self.end = check_steps("begin", begin, least=0), check_steps("end", end)
        if self.begin >= self.end:
            raise ArgumentError(f"begin must come before end, got {begin} and {end}")
        self.period, self.scope = check_steps("period", period), scope
        whole = fit(source, source.mask)
        density = check_density(density)
        counts_in(source, density, scope=scope)  # better refused now than in the end
        self.schedule = Cubic(source.density, density, self.begin, self.end)
        self.density = source.density
        super().__init__(source, whole)
        self.settings |= {
            "density": density,
            "begin": self.begin,
            "end": self.end,
            "period": self.period,
            "scope": scope,
        }

    def after_step(self) -> None:
        """Prune when a period is full, and at the end."""
        due = (self.steps - self.begin) % self.period == 0 and self.begin < self.steps < self.end
        if due or self.steps == self.end:
            kept = {name: masked.mask for name, masked in self.masked.items()}
            ranks = {n: torch.where(kept[n], r, -torch.inf) for n, r in magnitudes(self.source, kept).items()}
            density = self.schedule(self.steps)
            self.set_mask(keep_best(self.source, ranks, density, scope=self.scope))
            self.density = density

    def load_own_state(self, state: object) -> None:
        """The density follows from the number of steps."""
        last = self.end if self.steps >= self.end else self.steps - (self.steps - self.begin) % self.period
        self.density = self.schedule(max(last, self.begin))
