"""An attempt at a construction: the source of some widths as it is drawn, and what is kept of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from tombola.errors import ArgumentError
from tombola.mask import BoolArray
from tombola.source.density import AnyRule
from tombola.source.init import FloatArray
from tombola.source.recipe import Generations, Recipe
from tombola.theory.layout import Layout, Module
from tombola.theory.memory import check_memory
from tombola.theory.plan import LayerPlan
from tombola.theory.target import Convolution, TargetLayer

_ROUNDS = 5
Densities = dict[int, float]
"""{position of an affine module: the density of its tensors}."""


@dataclass
class Attempt:
    """A layout with its recipe, and the masks chosen so far; `generations` where weights were redrawn;
    `retries`, how many subset sums have been tried again with one fresh neuron more.
    """

    layout: Layout
    recipe: Recipe
    masks: dict[str, BoolArray] = field(default_factory=dict)
    generations: dict[str, Generations | None] = field(default_factory=dict)
    retries: int = 0

    def weight(self, place: int) -> tuple[FloatArray, BoolArray]:
        """The weight of an affine module, (out, in, taps), and which entries are alive."""
        values, alive = self._drawn(f"{place}.weight")
        shape = (*values.shape[:2], -1) if values.ndim > 2 else (*values.shape, 1)
        return values.reshape(shape), alive.reshape(shape)

    def bias(self, place: int) -> tuple[FloatArray, BoolArray]:
        """The bias of an affine module, (out,), and which entries are alive."""
        return self._drawn(f"{place}.bias")

    def keep(self, place: int, weight: BoolArray, bias: BoolArray) -> None:
        """Keep these entries of an affine module."""
        self.masks[f"{place}.weight"] = weight.reshape(self.layout.modules[place].shape)
        self.masks[f"{place}.bias"] = bias

    def _drawn(self, name: str) -> tuple[FloatArray, BoolArray]:
        tensor = next(tensor for tensor in self.recipe.tensors if tensor.name == name)
        return self.recipe.initial(tensor), self.recipe.alive(tensor)


def settle(
    make: Callable[[Callable[[int], float]], Layout], seed: int, density: float, rule: AnyRule
) -> Attempt:
    """The attempt of a layout whose widths follow from its layers' densities, which follow from its widths:
    `make` is asked for it some times over, with the density of the affine module at each position.

    Raises ArgumentError, before anything is drawn, for a tensor that this machine's memory cannot hold.
    """
    known: Densities = {}

    def density_of(place: int) -> float:
        return known.get(place, density)

    for _ in range(_ROUNDS):
        try:
            layout = make(density_of)
        except OverflowError:
            raise ArgumentError(
                f"a source of density {density:g} would have more neurons than there are numbers: a greater "
                "density, or a smaller width_factor, takes fewer"
            ) from None
        recipe = layout.recipe(seed, density, rule)
        for tensor in recipe.tensors:
            if tensor.alive_words == 0:
                raise ArgumentError(
                    f"{tensor.name} of the source would have no edges: a greater density, or another rule, "
                    "is needed"
                )
        found = {
            int(t.name.partition(".")[0]): t.alive_words / 2**32
            for t in recipe.tensors
            if t.name.endswith("weight")
        }
        if found == known:
            break
        known = found
    check_memory(recipe, density)
    return Attempt(layout, recipe)


def settle_blocks(
    plans: Sequence[LayerPlan],
    width: Callable[[LayerPlan, float, float], int],
    seed: int,
    density: float,
    rule: AnyRule,
) -> tuple[Attempt, list[int]]:
    """An attempt with two modules for each layer of the target, the first of `width` neurons (which follows
    from the densities of the two); and where the first of each stands.
    """
    places: list[int] = []

    def make(density_of: Callable[[int], float]) -> Layout:
        layout = Layout()
        places.clear()
        for plan in plans:
            if plan.layer.flatten:
                layout.add(Module("flatten"))
            first = len(layout.modules)
            places.append(first)
            neurons = width(plan, density_of(first), density_of(first + 2))
            layout.add(pointwise(plan.layer, neurons))
            layout.add(Module("relu"))
            layout.add(like(plan.layer, neurons, plan.layer.outputs))
            layout.add_gain(plan.gain)
            if plan.layer.relu:
                layout.add(Module("relu"))
        return layout

    return settle(make, seed, density, rule), places


def pointwise(layer: TargetLayer, outputs: int) -> Module:
    """An affine module over single inputs of a layer: linear, or a convolution of one position."""
    return Module("affine", layer.inputs, outputs, Convolution((1, 1)) if layer.convolution else None)


def like(layer: TargetLayer, inputs: int, outputs: int, copies: int = 1) -> Module:
    """An affine module that moves as a layer of the target does."""
    return Module("affine", inputs, outputs, layer.convolution, copies)


def used_neurons(kept: BoolArray) -> BoolArray:
    """Which neurons any kept edge of the next layer, (out, in, taps), reads."""
    return np.asarray(kept.any(axis=(0, 2)))


def density_at(attempt: Attempt, place: int) -> float:
    """The density of an affine module's tensors."""
    name = f"{place}.weight"
    return next(t.alive_words / 2**32 for t in attempt.recipe.tensors if t.name == name)
