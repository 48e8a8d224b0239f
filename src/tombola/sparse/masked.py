"""Masked: what sparse training puts into a slot, a mask over trained weights."""

from __future__ import annotations

import torch
from torch import nn


class Masked(nn.Module):
    """Trained weight -> W ⊙ M, +0.0 where pruned; pruned weights get no gradient.

    Where a gradient is wanted for pruned weights too, `probe` holds zeros that are added to the masked
    weight: autograd then sums ∂L/∂(W ⊙ M) into `probe.grad`, over every use of the weight and every
    backward pass, and neither the weight nor its gradient is other than before.
    """

    mask: torch.Tensor

    def __init__(self, mask: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)
        # No parameter: neither the optimiser nor a state_dict is to see it.
        self.probe: torch.Tensor | None = None

    def forward(self, weight: torch.Tensor, alive: torch.Tensor | None) -> torch.Tensor:
        """The masked weight; `alive` holds wherever the mask does."""
        masked = torch.where(self.mask, weight, 0.0)
        if self.probe is None or not torch.is_grad_enabled():
            return masked
        if self.probe.dtype != weight.dtype or self.probe.device != weight.device:
            self.start_probe(weight, self.gradient())  # the model has been moved, or cast
        return masked + self.probe

    def start_probe(self, weight: torch.Tensor, gradient: torch.Tensor | None = None) -> None:
        """Begin to sum gradients of `weight`, from nothing or from `gradient`."""
        self.probe = torch.zeros_like(weight, requires_grad=True)
        self.probe.grad = None if gradient is None else gradient.to(self.probe)

    def stop_probe(self) -> None:
        """End it, and free the memory."""
        self.probe = None

    def gradient(self) -> torch.Tensor:
        """∂L/∂(W ⊙ M) summed since `start_probe`, of the weight's shape; 0 where none came."""
        if self.probe is None or self.probe.grad is None:
            return torch.zeros(self.mask.shape, device=self.mask.device)
        return self.probe.grad
