"""SET: sparse evolutionary training, which grows at random.

Mocanu et al., "Scalable training of artificial neural networks with adaptive sparse connectivity inspired by
network science", Nature Communications 2018, algorithm 1.
"""

from __future__ import annotations

import torch

from tombola.search.counts import LayerDensity
from tombola.source.density import AnyRule
from tombola.source.network import Source
from tombola.sparse.ranking import random_ranks
from tombola.sparse.regrowth import Regrowth


class SET(Regrowth):
    """Drops the weights of least magnitude, grows others at random, from the seed.

    Parameters
    ----------
    source : the network to train, attached.
    density : fraction kept of all weights, or {layer name: fraction}.
    fraction : of the kept weights, dropped at each update (the paper's ζ, 0.3).
    period : optimiser steps between updates (the paper: an epoch).
    end : steps until the fraction has fallen to 0 along half a cosine, and updates end; None: never (the
        paper).
    rule : layerwise rule of the density, as in `densities`; None thins the source evenly.

    The paper gives a grown weight a random value; here it starts at 0, as in RigL.
    Raises ArgumentError for an option out of range.
    """

    def __init__(
        self,
        source: Source,
        density: LayerDensity,
        fraction: float = 0.3,
        period: int = 100,
        end: int | None = None,
        *,
        rule: AnyRule | None = None,
    ) -> None:
        super().__init__(source, density, fraction, period, end, rule)

    def growth_ranks(self, name: str) -> torch.Tensor:
        """Random numbers, others in each round."""
        return random_ranks(self.source, name, "grow", self.steps // self.period)
