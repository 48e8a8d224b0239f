"""Slot: the parametrization under which a random tensor lives in a module.

It holds what belongs to the tensor beside its weights (S_ER, generations) and a place where a
method puts its own module. All of it is parameters, buffers and submodules, so `state_dict`,
`.to(device)` and `deepcopy` see it.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import nn


class Masking(Protocol):
    """What a method puts into a slot: (frozen weight, S_ER or None) -> the weight to compute with."""

    def forward(self, weight: torch.Tensor, alive: torch.Tensor | None) -> torch.Tensor:
        """The masked weight, of the same shape, +0.0 where pruned."""
        ...


class Running:
    """A count that a forward pass can change sooner than an attribute of a module."""

    def __init__(self) -> None:
        self.count = 0


class Slot(nn.Module):
    """Frozen weight -> weight in use: W ⊙ S_ER, or what the method in `masking` makes of it.

    `alive`: S_ER as a boolean buffer, None when dense. `generations`: an int32 buffer of the
    tensor's shape, None until the first redraw. `running`: how many forward passes are under way of layers
    that cast this weight, as their own, to autocast's type; None where a layer does not.
    """

    alive: torch.Tensor | None
    generations: torch.Tensor | None

    def __init__(self, alive: torch.Tensor | None, casts: bool = False) -> None:
        super().__init__()
        self.running = Running() if casts else None
        self.register_buffer("alive", alive)
        self.register_buffer("generations", None)
        self.masking: nn.Module | None = None

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The weight that the module computes with."""
        if self.masking is not None:
            # Not by calling the module: hooks on it would see no module of the model, and cost on every use.
            masked: torch.Tensor = self.masking.forward(weight, self.alive)
            return masked
        # where, not a product: a product would leave -0.0 for a pruned negative weight.
        return weight if self.alive is None else torch.where(self.alive, weight, 0.0)
