"""The source network of a construction: which modules it has, and how it is drawn.

It is an ordinary `Sequential` of torch, described here without torch: what `Source` would make of it, with
init `uniform`, drawn biases and the gains as fixed parameters, is this recipe.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tombola.errors import ArgumentError, TicketError
from tombola.mask import Mask
from tombola.rng import threshold
from tombola.source.density import AnyRule, densities
from tombola.source.init import FloatArray
from tombola.source.recipe import FixedTensor, Generations, RandomTensor, Recipe
from tombola.theory.target import Convolution, Pair

_FARTHEST = 1 << 24
KEY = "construction"
"""Under which a ticket's metadata describe the modules."""


@dataclass(frozen=True)
class Module:
    """One module: `flatten`, `relu`, `gain` (x -> gain · x), or `affine`, linear or a convolution, whose
    first outputs are so many `copies` of each neuron of the target.
    """

    kind: str
    inputs: int = 0
    outputs: int = 0
    convolution: Convolution | None = None
    copies: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of an affine module's weight."""
        return (self.outputs, self.inputs, *(self.convolution.kernel if self.convolution else ()))


class Layout:
    """Modules in order, and the gain of each module that has one, by its position."""

    def __init__(self) -> None:
        self.modules: list[Module] = []
        self.gains: dict[int, float] = {}

    def add(self, module: Module) -> int:
        """Append a module; returns its position, by which its tensors are named."""
        self.modules.append(module)
        return len(self.modules) - 1

    def add_gain(self, value: float) -> None:
        """Append a gain, as float32 holds it."""
        self.gains[self.add(Module("gain"))] = float(np.float32(value))

    def recipe(self, seed: int, density: float, rule: AnyRule) -> Recipe:
        """How the network is drawn. Raises what `densities` raises."""
        affine = {place: module for place, module in enumerate(self.modules) if module.kind == "affine"}
        shapes = {f"{place}.weight": module.shape for place, module in affine.items()}
        spread = densities(shapes, density, rule)
        tensors = []
        for place, module in affine.items():
            words = threshold(spread[f"{place}.weight"])
            fan_in = math.prod(module.shape[1:])
            for name, shape in (("weight", module.shape), ("bias", (module.outputs,))):
                tensors.append(RandomTensor(f"{place}.{name}", shape, fan_in, alive_words=words))
        fixed = tuple(FixedTensor(f"{place}.gain", (), value) for place, value in self.gains.items())
        return Recipe(seed, "uniform", tuple(tensors), fixed)

    def to_json(self) -> str:
        """What `model` makes the modules of."""
        return json.dumps([{k: v for k, v in asdict(m).items() if v} for m in self.modules])


class DrawnNetwork:
    """A recipe with what a ticket needs beside it (`tombola.ticket.fit.RandomNetwork`)."""

    def __init__(self, recipe: Recipe, generations: dict[str, Generations | None]) -> None:
        self.recipe = recipe
        self.mask: Mask = recipe.mask()
        self._generations = generations

    def generations(self) -> dict[str, Generations | None]:
        """The generation of every weight."""
        return self._generations

    def statistics(self) -> dict[str, FloatArray]:
        """None: there is no normalisation."""
        return {}


def read_modules(text: str) -> list[Module]:
    """The modules that a ticket's metadata describe. Raises TicketError for a text that is none of ours."""
    try:
        return [_module(entry) for entry in json.loads(text)]
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
        raise TicketError(f"the ticket's metadata describe no construction: {error}") from None


def _module(entry: dict[str, Any]) -> Module:
    kind, inputs, outputs = str(entry["kind"]), int(entry.get("inputs", 0)), int(entry.get("outputs", 0))
    moves = entry.get("convolution")
    if kind not in ("flatten", "relu", "gain", "affine") or (kind == "affine" and min(inputs, outputs) < 1):
        raise ValueError(f"no module is {entry!r:.80}")
    moved = None if moves is None else Convolution(**{name: _pair(pair) for name, pair in moves.items()})
    if moved is not None:
        least = min(*moved.kernel, *moved.stride, *moved.dilation, *(pad + 1 for pad in moved.padding))
        most = max(*moved.kernel, *moved.stride, *moved.dilation, *moved.padding)
        if least < 1 or most > _FARTHEST:
            raise ValueError(f"no convolution moves by {moves!r:.80}")
    return Module(kind, inputs, outputs, moved, int(entry.get("copies", 1)))


def _pair(values: Sequence[int]) -> Pair:
    height, width = (int(value) for value in values)
    return height, width


def build(modules: Sequence[Module]) -> Any:
    """The plain torch model of the modules. Raises ArgumentError for sizes that no model has."""
    from torch import nn

    from tombola.theory.gain import Gain

    made: list[nn.Module] = []
    for module in modules:
        moves = module.convolution
        if module.kind == "flatten":
            made.append(nn.Flatten())
        elif module.kind == "relu":
            made.append(nn.ReLU())
        elif module.kind == "gain":
            made.append(Gain())
        elif moves is None:
            made.append(nn.Linear(module.inputs, module.outputs))
        else:
            made.append(
                nn.Conv2d(
                    module.inputs, module.outputs, moves.kernel, moves.stride, moves.padding, moves.dilation
                )
            )
    if not made:
        raise ArgumentError("a construction has at least one module")
    return nn.Sequential(*made)
