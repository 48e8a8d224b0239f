"""Models that ask something of several processes: `--model rank_models:NAME`."""

from __future__ import annotations

import torch
from torch import nn


class OwnNorm(nn.BatchNorm2d):
    """A subclass, as libraries have them: nobody knows what its forward pass does."""


class PartlyUsed(nn.Module):
    """Its auxiliary head takes no part in the answer."""

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__()
        self.body = nn.Linear(64 * in_channels, 32)
        self.head = nn.Linear(32, classes)
        self.auxiliary = nn.Linear(32, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.head(self.body(x.flatten(1)).relu())
        return answer


def normalised(in_channels: int, norm: nn.Module) -> nn.Module:
    """Eight channels of an 8×8 image, normalised, and one layer after them."""
    return nn.Sequential(
        nn.Conv2d(in_channels, 8, 3, padding=1), norm, nn.ReLU(), nn.Flatten(), nn.Linear(8 * 64, 10)
    )


def partly_used(width: float, in_channels: int, classes: int) -> nn.Module:
    return PartlyUsed(in_channels, classes)


def own_norm(width: float, in_channels: int, classes: int) -> nn.Module:
    return normalised(in_channels, OwnNorm(8))


def dropout(width: float, in_channels: int, classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64 * in_channels, 64), nn.ReLU(), nn.Dropout(), nn.Linear(64, classes)
    )
