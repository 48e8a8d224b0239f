"""Gain: a module that multiplies by one fixed number."""

from __future__ import annotations

import torch
from torch import nn


class Gain(nn.Module):
    """x -> gain · x; a ticket stores `gain`."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The input, scaled."""
        return self.gain * x
