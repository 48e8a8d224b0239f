"""What the tests of several folders share: small models of every kind, and searches over them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

import tombola

CLASSES = 5


class LayerNormMLP(nn.Module):
    """Linear layers with biases and a LayerNorm between them."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(12, 24)
        self.norm = nn.LayerNorm(24)
        self.fc2 = nn.Linear(24, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.norm(self.fc1(x))
        logits: torch.Tensor = self.fc2(F.relu(hidden))
        return logits


def conv_batch_norm() -> nn.Module:
    """A convolutional network with batch normalisation."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 6, 3, stride=2),
        nn.BatchNorm2d(6),
        nn.Flatten(),
        nn.Linear(24, CLASSES),
    )


def grouped_conv() -> nn.Module:
    """Grouped, depthwise and transposed convolutions."""
    return nn.Sequential(
        nn.Conv2d(4, 8, 3, groups=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, groups=8),
        nn.ConvTranspose2d(8, 4, 2, stride=2, groups=2),
        nn.Flatten(),
        nn.Linear(4 * 64, CLASSES),
    )


class AttentionBlock(nn.Module):
    """Self-attention and a feed-forward layer, normalised, pooled over the sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.norm = nn.LayerNorm(16)
        self.out = nn.Linear(16, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        attended, _ = self.attention(x, x, x, need_weights=False)
        logits: torch.Tensor = self.out(self.norm(x + attended).mean(1))
        return logits


class TiedLanguageModel(nn.Module):
    """An embedding that is also the output layer's weight."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(CLASSES, 16)
        self.hidden = nn.Linear(16, 16)
        self.out = nn.Linear(16, CLASSES, bias=False)
        self.out.weight = self.embedding.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.out(torch.tanh(self.hidden(self.embedding(tokens).mean(1))))
        return logits


@dataclass(frozen=True)
class Case:
    """A model to build, and a batch of inputs for it."""

    build: Callable[[], nn.Module]
    inputs: Callable[[torch.Generator], torch.Tensor]


def _normal(*shape: int) -> Callable[[torch.Generator], torch.Tensor]:
    return lambda generator: torch.randn(*shape, generator=generator)


CASES = {
    "mlp": Case(LayerNormMLP, _normal(8, 12)),
    "conv": Case(conv_batch_norm, _normal(8, 3, 8, 8)),
    "grouped": Case(grouped_conv, _normal(8, 4, 6, 6)),
    "attention": Case(AttentionBlock, _normal(8, 6, 16)),
    "tied": Case(TiedLanguageModel, lambda generator: torch.randint(CLASSES, (8, 6), generator=generator)),
}

INITS = ("signed_constant", "kaiming_uniform", "kaiming_normal", "uniform")

# What makes a method show its nature within a few steps.
METHOD_OPTIONS: dict[str, dict[str, Any]] = {
    "IteRand": {"period": 2, "rate": 0.5},
    "SignedSupermask": {"period": 2},
}


def search_methods() -> list[str]:
    """Every search that the package exports: a new one is under the laws without a line here."""
    exported = {name: getattr(tombola, name) for name in tombola.__all__}
    return sorted(
        name
        for name, value in exported.items()
        if isinstance(value, type) and issubclass(value, tombola.Search) and value is not tombola.Search
    )


def make_search(method: str, source: tombola.Source, **options: Any) -> tombola.Search:
    """A search by class name, with options under which it does something soon."""
    made: tombola.Search = getattr(tombola, method)(source, **{**METHOD_OPTIONS.get(method, {}), **options})
    return made


def make_optimizer(search: tombola.Search) -> torch.optim.SGD:
    """SGD with everything that could touch what it must not: momentum and a strong weight decay."""
    return torch.optim.SGD(search.parameters(), lr=0.5, momentum=0.9, weight_decay=1e-2)


def train(
    case: Case, model: nn.Module, search: tombola.Search, optimizer: torch.optim.Optimizer, steps: range
) -> None:
    """Search steps on batches that depend on the step's number alone."""
    model.train()
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        x, y = case.inputs(generator), torch.randint(CLASSES, (8,), generator=generator)
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        search.step()
