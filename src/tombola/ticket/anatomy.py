"""Where a ticket's bytes go: layer by layer, and beside the layers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tombola.source.recipe import Shape
from tombola.ticket.codec import TensorMask, code_bits
from tombola.ticket.counts import write_counts
from tombola.ticket.ticket import Ticket


@dataclass(frozen=True)
class LayerAnatomy:
    """One random tensor: how many of its `weights` are alive in S_ER and `kept` in the ticket, what
    redraws made of the kept ones, and how many bits say so. `redraws` is how many generations are
    present, `flips` how many signs are flipped, where the ticket says that instead.
    """

    name: str
    shape: Shape
    weights: int
    alive: int
    kept: int
    redraws: int
    flips: int
    mask_bits: float
    redraw_bits: float
    count_bits: int

    @property
    def bits(self) -> float:
        """All bits that this tensor takes: entropy of mask and redraws, and the counts behind them."""
        return self.mask_bits + self.redraw_bits + self.count_bits

    @property
    def bits_per_weight(self) -> float:
        """`bits` over the number of weights, kept or not."""
        return self.bits / self.weights if self.weights else 0.0


def anatomy(ticket: Ticket) -> list[LayerAnatomy]:
    """The random tensors of a ticket, in the model's order."""
    redraws = ticket.redraws
    layers = []
    for tensor in ticket.recipe.tensors:
        alive = ticket.recipe.alive(tensor)
        coded = TensorMask(ticket.mask[tensor.name][alive], redraws[tensor.name])
        counts = coded.counts()
        mask_bits, redraw_bits = code_bits(coded.kept.size, counts)
        layers.append(
            LayerAnatomy(
                tensor.name,
                tensor.shape,
                math.prod(tensor.shape),
                int(np.count_nonzero(alive)),
                counts.kept,
                len(counts.generations),
                counts.flips,
                mask_bits,
                redraw_bits,
                8 * len(write_counts([counts])),
            )
        )
    return layers
