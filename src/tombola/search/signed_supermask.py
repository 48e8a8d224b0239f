"""Signed supermask: scores say which weights to keep, and with which sign.

Koster, Grothe and Rettinger, "Signing the supermask: keep, hide, invert", ICLR 2022, whose supermasks have
the entries 1, 0 and -1. Here a weight is inverted by redraws, as in IteRand (paper A, section 3), so that a
ticket is a seed, a mask and what redraws have made of it, as everywhere.
"""

from __future__ import annotations

from numbers import Integral

import torch

from tombola.errors import ArgumentError
from tombola.search.base import Search
from tombola.search.counts import LayerDensity, kept_counts
from tombola.search.schedule import DensitySchedule
from tombola.source.density import AnyRule
from tombola.source.given import check_source
from tombola.source.network import Source


class SignedSupermask(Search):
    """The weights of greatest |score| are kept; pruned ones are redrawn until they have their score's sign.

    Scores start with the signs of the weights. One that changes its sign passes 0, where its weight is
    pruned: after every `period` optimiser steps each pruned, alive weight whose sign is not its score's is
    drawn anew. Kept weights and all scores stay, as in IteRand. A weight whose score has jumped over where it
    would be pruned keeps its sign: |s| is the worth of the weight as it is, and falls if that is wrong.

    With signed constants the network is nearly a ternary one, c · sign(s) where |s| is great and 0 elsewhere,
    whose signs are learnt straight through: ∂L/∂s = ∂L/∂(W ⊙ M) ⊙ |W| wherever W has the sign of s.

    Parameters: `period` >= 1 in optimiser steps; `absolute=False` keeps the weights of highest score and
    redraws none, which is edge-popup; the others as in `Search`.
    Raises ArgumentError for a `period` out of range, and for a density at which nothing is ever pruned.
    """

    def __init__(
        self,
        source: Source,
        density: LayerDensity | DensitySchedule = 0.85,
        period: int = 1,
        *,
        rule: AnyRule | None = None,
        scope: str = "layer",
        absolute: bool = True,
        score_init: str = "fan_in",
    ) -> None:
        if type(period) is bool or not isinstance(period, Integral) or period < 1:
            raise ArgumentError(f"period is a number of optimiser steps, at least 1, got {period!r}")
        if absolute is True and not callable(density):
            check_source(source)
            _check_prunes(source, density, rule)
        super().__init__(source, density, rule=rule, scope=scope, absolute=absolute, score_init=score_init)
        self.period: int = int(period)
        self.settings |= {"period": self.period}
        self._signed: bool = absolute
        if absolute:
            with torch.no_grad():
                for name, scores in self.scores.items():
                    scores.copysign_(torch.where(scores == 0, scores, source.parameter(name)))
            source.track_generations(self.scores)

    def after_step(self) -> None:
        """Redraw when a period is full; the round's number is the new weights' generation."""
        if self._signed and self.steps % self.period == 0:
            for name, pruned in self.each_pruned():
                other = torch.signbit(self.scores[name]) ^ torch.signbit(self.source.parameter(name))
                self.source.redraw({name: pruned & other}, 1.0, generation=self.steps // self.period)


def _check_prunes(source: Source, density: LayerDensity, rule: AnyRule | None) -> None:
    kept = kept_counts(source, density, rule)
    searched = (layer for layer in source.layers if layer.name in kept)
    if sum(kept.values()) == sum(int(source.mask[t.name].sum()) for layer in searched for t in layer.tensors):
        raise ArgumentError(
            f"density {density!r} prunes nothing of the source: a signed supermask changes signs where "
            "weights are pruned"
        )
