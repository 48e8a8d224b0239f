"""Slot: the parametrization under which a random tensor lives in a module.

It holds what belongs to the tensor beside its weights (S_ER, generations) and a place where a
method puts its own module. All of it is parameters, buffers and submodules, so `state_dict`,
`.to(device)` and `deepcopy` see it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from tombola.source.recipe import Generations, RandomTensor, check_generations


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

    `alive`: S_ER as a boolean buffer, None when dense. `generations`: a buffer of the tensor's shape, uint8
    until one is above 255 and int32 then, None until the first redraw. `running`: how many forward passes are
    under way of layers that cast this weight, as their own, to autocast's type; None where a layer does not.
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

    def hold(self, generations: torch.Tensor | None) -> None:
        """Take these generations, integers in [0, 2^31), or none."""
        self.generations = None
        if generations is not None:
            greatest = int(generations.max()) if generations.numel() else 0
            self.generations = generations.to(_narrowest(greatest))

    def make_room(self, generation: int) -> None:
        """Let the generations' buffer, if there is one, hold this one too."""
        if self.generations is not None and generation > torch.iinfo(self.generations.dtype).max:
            self.generations = self.generations.to(_narrowest(generation))

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, *rest: Any, **named: Any
    ) -> None:
        # What is loaded is copied into the buffer as it is, and would wrap around in smaller integers.
        given = state_dict.get(f"{prefix}generations")
        if isinstance(given, torch.Tensor) and given.numel():
            self.make_room(int(given.max()))
        super()._load_from_state_dict(state_dict, prefix, *rest, **named)


def _narrowest(greatest: int) -> torch.dtype:
    # Not int16, which NCCL cannot send.
    return torch.uint8 if greatest <= torch.iinfo(torch.uint8).max else torch.int32


def generation_array(tensor: RandomTensor, given: Generations | torch.Tensor | None) -> Generations | None:
    """Generations given as an array or a tensor, as int32. Raises what `check_generations` does."""
    if given is None:
        return None
    array = given.cpu().numpy() if isinstance(given, torch.Tensor) else np.asarray(given)
    return check_generations(tensor.name, array, tensor.shape)
