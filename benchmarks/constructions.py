"""Claim (theorems of Pensia et al. 2020 and Burkholz 2022, in Erdős–Rényi sources as in paper B): a random
network holds a ticket that equals a given trained network, weight by weight up to a tolerance of 0.01.

LeNet-300-100 (266,610 parameters) trained on 28×28 grey CIFAR-10 images, construction `two_layers`, and an
MLP of 20,000 weights and more trained on the handwritten digits, construction `one_extra_layer`, both in a
source of density 0.5. Prints seconds, peak memory, and how often the ticket answers as its target does on
test images; then how the greatest difference found, by chance and by gradient ascent, stands to the
certificate.

    TOMBOLA_DATA=FOLDER python benchmarks/constructions.py
"""

from __future__ import annotations

import resource
import time
from itertools import pairwise

import torch
import torch.nn.functional as F
from _machine import print_machine
from torch import nn

from tombola import data
from tombola.theory import construct

EPOCHS = 6


def main() -> None:
    """Both targets, one after the other."""
    print_machine()
    cifar = data.load("cifar10", seed=0, validation=0.0)
    grey = [_grey(split.images) for split in (cifar.train, cifar.test)]
    lenet = _mlp(784, 300, 100, 10)
    _train(lenet, grey[0], cifar.train.labels)
    _report("LeNet-300-100", lenet, "two_layers", grey[1])
    digits = data.load("digits", seed=0, validation=0.0)
    flat = [split.images.float().flatten(1) / 127.5 - 1 for split in (digits.train, digits.test)]
    mlp = _mlp(64, 160, 64, 10)
    _train(mlp, flat[0], digits.train.labels, epochs=60)
    _report("MLP 64-160-64-10", mlp, "one_extra_layer", flat[1])


def _mlp(*sizes: int) -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _grey(images: torch.Tensor) -> torch.Tensor:
    """28×28 grey pixels in [-1, 1], flat: the mean of the channels, the border of two pixels cut off."""
    return images[:, 2:30, 2:30].float().mean(3).flatten(1) / 127.5 - 1


def _train(model: nn.Module, x: torch.Tensor, y: torch.Tensor, epochs: int = EPOCHS) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(epochs):
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(epoch))
        for part in order.split(128):  # type: ignore[no-untyped-call]
            optimizer.zero_grad()
            F.cross_entropy(model(x[part]), y[part]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()


def _report(name: str, target: nn.Sequential, construction: str, test: torch.Tensor) -> None:
    weights = sum(p.numel() for p in target.parameters() if p.ndim > 1)
    began = time.monotonic()
    made = construct(target, seed=1, density=0.5, tolerance=0.01, construction=construction)
    seconds = time.monotonic() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    model = _without_zeros(made.model())
    with torch.no_grad():
        answers = torch.cat([model(part) for part in test.split(500)])  # type: ignore[no-untyped-call]
        same = float((answers.argmax(1) == target(test).argmax(1)).float().mean())
        on_test = float((answers - target(test)).abs().max())
    found = max(_by_chance(target, model), _by_ascent(target, model))
    print(f"{name}: {weights:,} weights, {construction}")
    print(
        f"  {seconds:.1f} s, peak {peak:.2f} GiB of the process, {made.retries} retries, "
        f"{made.restarts} restarts"
    )
    print(
        f"  source {made.source_weights:,} weights, kept {made.kept_weights:,}, {made.ticket.nbytes:,} bytes"
    )
    print(f"  greatest parameter error {made.parameter_error:.5f}")
    print(f"  {100 * same:.2f} % of {len(test):,} test images answered alike, outputs within {on_test:.4f}")
    print(f"  greatest difference found {found:.4f} <= certificate {made.error_bound:.4f}", flush=True)
    assert found <= made.error_bound


class _Rows(nn.Module):
    """Rows of a linear layer over some of its inputs; if they have one weight each, without the zeros."""

    def __init__(self, layer: nn.Linear, rows: torch.Tensor, inputs: torch.Tensor) -> None:
        super().__init__()
        self.weight = layer.weight.detach()[rows][:, inputs]
        self.bias = layer.bias.detach()[rows]
        self.single = self.weight.abs().argmax(1) if int((self.weight != 0).sum(1).max()) <= 1 else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.single is None:
            return F.linear(x, self.weight, self.bias)
        return x[:, self.single] * self.weight.gather(1, self.single[:, None])[:, 0] + self.bias


def _without_zeros(plain: nn.Sequential) -> nn.Sequential:
    """The same function, sooner: without the neurons that nothing reads."""
    first, *_, last = (place for place, layer in enumerate(plain) if isinstance(layer, nn.Linear))
    layers = list(plain)
    rows = torch.arange(int(plain[last].out_features))  # type: ignore[arg-type]
    for place in range(last, first - 1, -1):
        layer = plain[place]
        if isinstance(layer, nn.Linear):
            read = layer.weight[rows].any(0) if place > first else torch.ones(layer.in_features)
            inputs = read.nonzero()[:, 0]
            layers[place] = _Rows(layer, rows, inputs)
            rows = inputs
    return nn.Sequential(*layers).requires_grad_(False)


@torch.no_grad()
def _by_chance(target: nn.Module, model: nn.Module, count: int = 100_000) -> float:
    """The greatest difference over random inputs of the box."""
    inputs = next(target.parameters()).shape[1]
    greatest = 0.0
    for seed in range(count // 1000):
        x = torch.rand(1000, inputs, generator=torch.Generator().manual_seed(seed)) * 2 - 1
        greatest = max(greatest, float((model(x) - target(x)).abs().max()))
    return greatest


def _by_ascent(target: nn.Module, model: nn.Module, count: int = 1000, steps: int = 20) -> float:
    """The greatest difference that signed gradient ascent finds from `count` starts, corners among them."""
    inputs = next(target.parameters()).shape[1]
    x = torch.rand(count, inputs, generator=torch.Generator().manual_seed(1)) * 2 - 1
    x[::2] = x[::2].sign()
    greatest = 0.0
    for _ in range(steps):
        x.requires_grad_(True)
        difference = (model(x) - target(x)).abs().amax(1)
        greatest = max(greatest, float(difference.detach().max()))
        (slope,) = torch.autograd.grad(difference.sum(), x)
        x = (x.detach() + 0.2 * slope.sign()).clamp(-1, 1)
    return greatest


if __name__ == "__main__":
    main()
