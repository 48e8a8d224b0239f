"""The table of docs/sizes.md: networks as float32, int8 and tickets.

Every size is that of a file written: safetensors for float32 and int8 (one byte a weight, one float32
scale a tensor, everything else float32), the ticket for the rest, statistics of batch normalisation
included in all. What a ticket takes depends on densities and redraws, not on what the network does, so
masks are those of the first scores; for IteRand, of 130 rounds of redraws (100 epochs on CIFAR-10 at
period 300) while the scores wander ever more slowly, as they do under a falling learning rate. How fast
they wander was set by a real search: Conv-6 of width 0.25, kaiming_uniform, four epochs on the JPEG copy
of CIFAR-10 with as many rounds (`--period 10`) gave a ticket of 1.94 bits per weight.

    python benchmarks/size_table.py
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import safetensors.numpy
import torch
from _machine import print_machine
from torch import nn

import tombola
from tombola.export import to_safetensors

ROUNDS, PACE = 130, 0.075
COLUMNS = (
    *("network", "weights", "density", "float32", "int8"),
    *("edge-popup ticket", "IteRand ticket, ±constant", "IteRand ticket, uniform", "statistics in each"),
)


class Block(nn.Module):
    """A block of a decoder: attention, then two linear layers, each normalised first."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(size), nn.LayerNorm(size)
        self.attention = nn.MultiheadAttention(size, heads, batch_first=True)
        self.up, self.down = nn.Linear(size, 4 * size), nn.Linear(4 * size, size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Tokens (N, T, size) -> the same."""
        normed = self.norm1(x)
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        x = x + self.attention(normed, normed, normed, attn_mask=mask, need_weights=False)[0]
        down: torch.Tensor = self.down(nn.functional.gelu(self.up(self.norm2(x))))
        return x + down


class SmallGPT(nn.Module):
    """A decoder of 6 blocks of 384 over 256 bytes, its output layer tied to its embedding."""

    def __init__(self, size: int = 384, heads: int = 6, blocks: int = 6) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(256, size), nn.Embedding(256, size)
        self.blocks = nn.Sequential(*(Block(size, heads) for _ in range(blocks)))
        self.norm, self.out = nn.LayerNorm(size), nn.Linear(size, 256, bias=False)
        self.out.weight = self.tokens.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens (N, T) -> logits (N, T, 256)."""
        x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1]))
        logits: torch.Tensor = self.out(self.norm(self.blocks(x)))
        return logits


NETWORKS: dict[str, tuple[Callable[[], nn.Module], float]] = {
    "Conv-6": (tombola.models.conv6, 0.5),
    "ResNet-18": (tombola.models.resnet18, 0.4),
    "ResNet-50": (lambda: tombola.models.resnet50(classes=1000, image_size=224), 0.3),
    "small GPT": (SmallGPT, 0.5),
}


def wander(search: tombola.IteRand) -> None:
    """All rounds of redraws, the scores moving by noise of their own size that falls to nothing."""
    generator = torch.Generator().manual_seed(0)
    first = {name: scores.detach().std() for name, scores in search.scores.items()}
    for number in range(ROUNDS):
        pace = PACE * (1 + math.cos(math.pi * number / ROUNDS)) / 2
        with torch.no_grad():
            for name, scores in search.scores.items():
                scores.add_(pace * first[name] * torch.randn(scores.shape, generator=generator))
        search.step()


def int8(dense: Path) -> int:
    """The size of the network with its tensors of two dimensions or more as int8."""
    state = safetensors.numpy.load_file(dense)
    for name, values in list(state.items()):
        if values.ndim >= 2:
            scale = np.abs(values).max() / np.float32(127)
            state[name] = np.rint(values / scale).astype(np.int8)
            state[f"{name}.scale"] = np.array([scale], dtype=np.float32)
    return len(safetensors.numpy.save(state))


def row(name: str, folder: Path) -> str:
    """One network in all its forms."""
    build, density = NETWORKS[name]
    popup = tombola.EdgePopup(tombola.Source(build()), density).ticket()
    float32 = to_safetensors(popup, folder / "dense.safetensors")
    sizes = {"float32": float32, "int8": int8(folder / "dense.safetensors"), "edge-popup": popup.nbytes}
    for init in ("signed_constant", "kaiming_uniform"):
        search = tombola.IteRand(tombola.Source(build(), init=init), density, period=1, rate=0.1)
        wander(search)
        made = search.ticket()
        made.verify()
        sizes[init] = made.nbytes
    statistics = sum(values.nbytes for values in popup.statistics.values())
    cells = [f"{size:,} ({float32 / size:.1f}×)" for size in sizes.values()]
    return f"| {name} | {popup.mask.total:,} | {density} | {' | '.join(cells)} | {statistics:,} |"


def main() -> None:
    """Print the table."""
    print_machine()
    print(
        "| network | weights | density | float32 | int8 | ticket, edge-popup | ticket, IteRand, ±constant |",
        end="",
    )
    print(" ticket, IteRand, uniform | statistics in each |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for name in NETWORKS:
            print(row(name, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
