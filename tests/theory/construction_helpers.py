"""What the tests of constructions share: targets of every kind, and constructions of them, made once."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from tombola.theory import Construction, construct
from tombola.theory.layout import DrawnNetwork
from tombola.ticket import Ticket

Floats = npt.NDArray[np.float64]
Pairs = list[tuple[Floats, Floats | None]]

EVERY = ("two_layers", "one_extra_layer", "redraw")
SOURCES: tuple[tuple[float, str], ...] = ((1.0, "uniform"), (0.5, "erk"), (0.3, "balanced"))
EVERY_SOURCE: tuple[tuple[float, str], ...] = (
    (1.0, "uniform"),
    *itertools.product((0.5, 0.3), ("uniform", "erk", "balanced", "pyramidal")),
)


def pairs(sizes: Sequence[int], bias: bool = True, scale: float = 1.0, seed: int = 0) -> Pairs:
    """A perceptron's weights and biases, as arrays."""
    random = np.random.default_rng(seed)
    found: Pairs = []
    for inputs, outputs in itertools.pairwise(sizes):
        weight = scale * random.uniform(-1, 1, (outputs, inputs)) / np.sqrt(inputs)
        found.append((weight, scale * random.uniform(-0.5, 0.5, outputs) if bias else None))
    return found


def sequential(arrays: Pairs) -> nn.Sequential:
    """The same perceptron as a torch model, in float64."""
    modules: list[nn.Module] = []
    for weight, bias in arrays:
        linear = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weight))
            if bias is not None:
                linear.bias.copy_(torch.from_numpy(bias))
        modules += [linear, nn.ReLU()]
    return nn.Sequential(*modules[:-1])


def drawn(*modules: nn.Module, seed: int = 0) -> nn.Sequential:
    """The modules with weights that depend on the seed alone, in float64."""
    model = nn.Sequential(*modules).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            size = 1.0 if parameter.ndim == 1 else float(parameter[0].numel()) ** -0.5
            parameter.uniform_(-size, size, generator=generator)
    return model


@dataclass(frozen=True)
class Target:
    """A target, the shape of an input, and the options that it is constructed with."""

    build: Callable[[], nn.Sequential]
    shape: tuple[int, ...]
    options: dict[str, Any] = field(default_factory=dict)


def _zero(number: int) -> nn.Sequential:
    arrays = pairs([4, 5, 3])
    arrays[number] = (np.zeros_like(arrays[number][0]), None)
    return sequential(arrays)


def _great_bias() -> nn.Sequential:
    arrays = pairs([4, 5, 3])
    arrays[0] = (arrays[0][0], np.array([-20.0, 20.0, 0.0, 0.5, 7.0]))
    return sequential(arrays)


_UNEVEN_BOX = (np.array([-2.0, 0.0, -0.5, 0.25]), np.array([-1.0, 0.0, 3.0, 0.5]))
_PADDED = {"input_shape": (2, 5, 5), "tolerance": 0.02}

TARGETS = {
    "biases": Target(lambda: sequential(pairs([5, 6, 3])), (5,)),
    "no biases": Target(lambda: sequential(pairs([5, 6, 3], bias=False)), (5,)),
    "three layers": Target(lambda: sequential(pairs([4, 5, 4, 2])), (4,)),
    "single layer": Target(lambda: sequential(pairs([5, 3])), (5,)),
    "inputs above 0": Target(lambda: sequential(pairs([5, 6, 3])), (5,), {"box": (0.0, 1.0)}),
    "uneven box": Target(lambda: sequential(pairs([4, 6, 3])), (4,), {"box": _UNEVEN_BOX}),
    "great weights": Target(lambda: sequential(pairs([4, 5, 3], scale=50)), (4,)),
    "small weights": Target(lambda: sequential(pairs([4, 5, 3], scale=1e-3)), (4,), {"tolerance": 1e-5}),
    "first layer zero": Target(lambda: _zero(0), (4,)),
    "last layer zero": Target(lambda: _zero(1), (4,)),
    "great biases": Target(_great_bias, (4,)),
    "no relu between": Target(lambda: drawn(nn.Linear(4, 5), nn.Linear(5, 3)), (4,)),
    "relu at the end": Target(lambda: drawn(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3), nn.ReLU()), (4,)),
    "flatten first": Target(
        lambda: drawn(nn.Flatten(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)), (1, 2, 3)
    ),
    "stride and padding": Target(
        lambda: drawn(nn.Conv2d(2, 3, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(3, 2, 3, padding=1)),
        (2, 5, 5),
        _PADDED,
    ),
    "padding, box above 0": Target(
        lambda: drawn(
            nn.Conv2d(1, 3, 3, padding=1, bias=False), nn.ReLU(), nn.Conv2d(3, 2, 1, bias=False), seed=4
        ),
        (1, 3, 3),
        {"box": (0.5, 1.0)},
    ),
    "padding, no bias": Target(lambda: drawn(nn.Conv2d(1, 2, 2, padding=1, bias=False)), (1, 3, 3)),
    "odd kernels": Target(
        lambda: drawn(nn.Conv2d(1, 3, (3, 1), padding="same"), nn.ReLU(), nn.Conv2d(3, 2, 1)),
        (1, 4, 3),
        {"input_shape": (1, 4, 3)},
    ),
    "dilation": Target(
        lambda: drawn(
            nn.Conv2d(1, 2, (2, 3), dilation=(1, 2), padding=(0, 1)), nn.ReLU(), nn.Conv2d(2, 2, 2)
        ),
        (1, 4, 5),
        {"input_shape": (1, 4, 5)},
    ),
    "conv, flatten, linear": Target(
        lambda: drawn(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)), (1, 4, 4)
    ),
}


def options_of(name: str) -> dict[str, Any]:
    """The options that a target is constructed with, the tolerance among them."""
    return {"tolerance": 0.01, **TARGETS[name].options}


@functools.cache
def made(
    name: str, construction: str, density: float = 1.0, rule: str = "uniform", seed: int = 1
) -> Construction:
    """The construction of a target, made once for all tests."""
    options = options_of(name)
    return construct(
        TARGETS[name].build(), seed, density, construction=construction, rule=rule, max_restarts=4, **options
    )


def certificate_options(name: str) -> dict[str, Any]:
    """The options of a target that its certificate needs too."""
    return {key: value for key, value in TARGETS[name].options.items() if key in ("box", "input_shape")}


def box_of(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The lower and upper bounds of the target's inputs, of an input's shape."""
    target = TARGETS[name]
    lower, upper = target.options.get("box", (-1.0, 1.0))
    sides = [
        torch.as_tensor(np.broadcast_to(np.asarray(side, dtype=np.float64), target.shape).copy())
        for side in (lower, upper)
    ]
    return sides[0], sides[1]


def altered(ticket: Ticket, changes: dict[str, Any] | None = None, **metadata: str) -> Ticket:
    """The ticket with other masks for some tensors, or other metadata."""
    masks = {name: ticket.mask[name] for name in ticket.mask}
    return Ticket.from_mask(
        DrawnNetwork(ticket.recipe, {}),
        masks | (changes or {}),
        metadata=ticket.metadata | {key.replace("_", " "): value for key, value in metadata.items()},
    )


def farthest(target: nn.Sequential, other: nn.Module, name: str, starts: int = 6, steps: int = 12) -> float:
    """The greatest difference of two models found on random inputs, on corners, and by climbing."""
    low, high = box_of(name)
    generator = torch.Generator().manual_seed(5)
    spread = torch.rand(100, *low.shape, generator=generator, dtype=torch.float64)
    corners = torch.rand(100, *low.shape, generator=generator, dtype=torch.float64).round()
    inputs = low + (high - low) * torch.cat([spread, corners])
    first, second = target.double(), other.double()
    with torch.no_grad():
        gaps = (first(inputs) - second(inputs)).abs().flatten(1).amax(dim=1)
    worst = float(gaps.max())
    x = inputs[gaps.topk(starts).indices].clone()
    for step in range(steps):
        x.requires_grad_(True)
        gap = (first(x) - second(x)).abs().flatten(1).amax(dim=1)
        worst = max(worst, float(gap.detach().max()))
        (slope,) = torch.autograd.grad(gap.sum(), x)
        reach = (high - low) * 0.3 * (1 - step / steps)
        x = (x.detach() + reach * slope.sign()).clamp(low, high)
    return worst
