"""Source: the random network that is searched, attached to a user's model in place.

The only toucher of modules: everything else speaks to a model through a Source.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from tombola.errors import ArgumentError, check_flag, check_kind, unknown
from tombola.mask import Mask
from tombola.rng import Stream, check_seed
from tombola.shown import Shown, Table, mask_table
from tombola.source.attachment import Attachment
from tombola.source.buffers import Buffers
from tombola.source.density import AnyRule, rule_name
from tombola.source.init import DISTRIBUTIONS, FloatArray
from tombola.source.parameters import (
    Found,
    check_plain,
    check_takes_slot,
    check_writable,
    class_name,
    find_parameters,
)
from tombola.source.plan import Include, Layer, make_plan, plan_within
from tombola.source.recipe import Generations, RandomTensor, Recipe, Shape
from tombola.source.settings import check_names, plain
from tombola.source.slot import Slot, generation_array
from tombola.source.summary import LayerSummary, summarise_layer
from tombola.source.surgery import casts_its_weights


class Source(Shown):
    """A random network: model + seed + distribution (+ S_ER), attached to `model` in place.

    Every weight of the model is drawn from `seed` by name and frozen; biases are set to 0 (with
    `bias=True` drawn from their layer's distribution and searched with it), normalisation to 1 and
    0 with fresh running statistics. Biases, normalisation and whatever `fixed` names stay as set.

    Parameters
    ----------
    model : any `nn.Module` with float32 parameters.
    seed : integer in [0, 2^64).
    init : `signed_constant`, `kaiming_uniform`, `kaiming_normal` or `uniform` (docs/methods/sources.md).
    density, rule : overall density p of the Erdős–Rényi source in (0, 1], over the weights searched, and
        its layerwise rule (paper B, section 2), a name, a mapping or a function, as in `densities`; 1.0 is a
        dense source. `partial(tombola.densities, rule="erk", dense_first=True)` is such a function.
    bias : whether biases are random and prunable. They have their layer's density, and do not count in p.
    fan_density : density, one or {weight name: density}, by whose root the standard deviation is
        divided, so that a ticket of that density keeps the variance of its signal.
    include : which weights are searched: a predicate or glob patterns of names. The others are
        drawn too, but always kept whole. None: all.
    fan_in : {name pattern: fan-in} of further parameters to draw, or other fan-ins.
    fixed : {name pattern: value} of further parameters to hold at one value.
    exact : whether each tensor has exactly round(p_l m_l) edges, drawn without replacement, instead of
        each edge being there with probability p_l.
    mask : {tensor name: booleans of its shape}, the edges of the source in the place of `density`, `rule` and
        `exact`; a tensor that is not searched must be whole. A ticket in it is coded as in a dense source.

    Raises
    ------
    ArgumentError : for an option out of range, a model with nothing to mask, a parameter of no
        known kind, or a model that has a source already. The model is then as it was.

    An embedding's padding row is drawn like any other row. Buffers other than normalisation statistics
    are left alone, and are no part of a ticket.

    After `detach()` the model consists of plain modules that hold the materialised weights; masks,
    tickets and weights can still be asked for, but nothing changes any more.
    """

    def __init__(
        self,
        model: nn.Module,
        seed: int = 0,
        init: str = "signed_constant",
        density: float = 1.0,
        rule: AnyRule = "uniform",
        bias: bool = False,
        fan_density: float | Mapping[str, float] | None = None,
        *,
        include: Include = None,
        fan_in: Mapping[str, float] | None = None,
        fixed: Mapping[str, float] | None = None,
        exact: bool = False,
        mask: Mapping[str, npt.ArrayLike] | None = None,
    ) -> None:
        check_plain(model)
        check_seed(seed)
        check_flag("exact", exact)
        check_flag("bias", bias)
        if not isinstance(init, str) or init not in DISTRIBUTIONS:
            raise unknown("init", init, DISTRIBUTIONS)
        if mask is not None and (density != 1.0 or rule != "uniform" or exact):
            raise ArgumentError("give a mask, or a density with its rule and exact, not both")
        given = mask if mask is None or isinstance(mask, Mask) else Mask(mask)
        for option, named in (("fan_in", fan_in), ("fixed", fixed)):
            if named is not None:
                check_kind(option, named, Mapping, "give {name pattern: number}")
        parameters = find_parameters(model)
        check_writable(parameters)
        plan = make_plan(
            parameters,
            density=density,
            rule=rule,
            exact=exact,
            bias=bias,
            fan_density=fan_density,
            include=include,
            fan_in=fan_in or {},
            fixed=fixed or {},
        )
        if given is not None:
            plan = plan_within(plan, given)
        drawn = {tensor.name: tensor for layer in plan.layers for tensor in layer.tensors}
        by_name = {found.name: found for found in parameters}
        tensors = tuple(drawn[name] for name in by_name if name in drawn)
        for tensor in tensors:
            check_takes_slot(by_name[tensor.name])
        self.model = model
        self.density = plan.density
        self.densities: dict[str, float] = plan.densities
        self.layers: tuple[Layer, ...] = plan.layers
        self.recipe = Recipe(int(seed), init, tensors, plan.fixed)
        self._given = given is not None
        self.mask: Mask = (
            self.recipe.mask()
            if given is None
            else Mask({tensor.name: given[tensor.name] for tensor in tensors})
        )
        slots = {tensor.name: self._make_slot(tensor, by_name[tensor.name]) for tensor in tensors}
        self._attachment = Attachment(parameters, slots)
        self.buffers = Buffers(model)
        self._statistics: dict[str, FloatArray] | None = None
        # What decides the network, by the names that a user knows: a saved search is checked with it.
        self.settings: dict[str, Any] = {
            "seed": int(seed),
            "init": init,
            "source density": plan.density,
            "rule": rule_name(rule),
            "layer densities": plan.densities,
            "exact": exact,
            "mask": None if given is None else self.mask.digest,
            "bias": bias,
            "fan density": plain(fan_density),
            "fixed": plain(fixed or {}),
            "fan-in": plain(fan_in or {}),
            "shapes": {tensor.name: list(tensor.shape) for tensor in tensors},
        }
        self._attach()

    def __repr__(self) -> str:
        state = "attached" if self.attached else "detached"
        return (
            f"Source({class_name(self.model)}, seed={self.recipe.seed}, init={self.recipe.init!r}, "
            f"density={self.density:g}, {len(self.names)} tensors, {self.mask.total:,} weights, {state})"
        )

    def table(self) -> Table:
        """What notebooks show: how it is drawn, and its edges."""
        facts = {"model": class_name(self.model), "seed": self.seed, "init": self.recipe.init}
        return mask_table("Source", {**facts, "density": self.density, "weights": self.mask.total}, self.mask)

    @property
    def seed(self) -> int:
        """The seed that everything is drawn from."""
        return self.recipe.seed

    @property
    def attached(self) -> bool:
        """Whether the model still computes with this source."""
        return self._statistics is None

    @property
    def names(self) -> list[str]:
        """The names of the random tensors, in the model's order."""
        return [tensor.name for tensor in self.recipe.tensors]

    @property
    def shapes(self) -> dict[str, Shape]:
        """The shape of every random tensor."""
        return {tensor.name: tensor.shape for tensor in self.recipe.tensors}

    def weights(self) -> dict[str, FloatArray]:
        """The random weights as they are now, unmasked, each of its parameter's shape."""
        generations = self.generations()
        return {
            tensor.name: self.recipe.weights(tensor, generations[tensor.name])
            for tensor in self.recipe.tensors
        }

    def generations(self) -> dict[str, Generations | None]:
        """The generation of every weight (int32, the parameter's shape); None where all are 0."""
        return {
            name: None if slot.generations is None else slot.generations.cpu().numpy().astype(np.int32)
            for name, slot in self._attachment.slots().items()
        }

    def statistics(self) -> dict[str, FloatArray]:
        """The running statistics of the normalisation layers, as float32 arrays by buffer name."""
        if self._statistics is not None:
            return {name: values.copy() for name, values in self._statistics.items()}
        return self.buffers.statistics()

    def summary(self) -> list[LayerSummary]:
        """What each layer came out as: densities asked for, expected and drawn, and dead neurons."""
        layers = [
            summarise_layer(
                layer,
                self.densities.get(layer.name, 1.0),
                self._attachment.module(layer.tensors[0].name),
                self.mask,
            )
            for layer in self.layers
        ]
        return [replace(layer, expected=layer.drawn) for layer in layers] if self._given else layers

    def train_weights(self) -> dict[str, nn.Parameter]:
        """Let the weights be trained, and every other parameter that could be before the source was
        attached: those parameters by name, in the model's order (see `tombola.sparse`).

        From now on the model holds other weights than the seed's, so no search can give a ticket.
        Raises ArgumentError once detached.
        """
        self.check_attached("train the weights")
        trained = {name: self.parameter(name) for name in self._attachment.could_train()}
        for parameter in trained.values():
            parameter.requires_grad_(True)
        return trained

    def slot(self, name: str) -> Slot:
        """The slot of a random tensor, where a method puts its module (see `tombola.Search`)."""
        return self._attachment.slots()[name]

    def parameter(self, name: str) -> nn.Parameter:
        """The frozen parameter that holds a random tensor's weights, or their masked values once
        detached.
        """
        return self._attachment.parameter(name)

    def in_use(self, name: str) -> torch.Tensor:
        """The weight that the forward pass computes with, masked, of its parameter's shape."""
        return self._attachment.in_use(name)

    @torch.no_grad()
    def redraw(self, pruned: Mapping[str, torch.Tensor], rate: float, generation: int) -> None:
        """Give each pruned, alive weight a new value with probability `rate` (paper A, section 3).

        `pruned`: boolean tensors of the parameters' shapes. `generation` >= 1 numbers the round; the
        coins and the new values are pure functions of (seed, name, generation, index).
        Raises ArgumentError once detached.
        """
        self.check_attached("redraw weights")
        for tensor in self.recipe.tensors:
            if tensor.name in pruned:
                coins = Stream(self.seed, tensor.name, "redraw", generation).bernoulli(tensor.size, rate)
                eligible = pruned[tensor.name].cpu().numpy().reshape(-1)
                alive = self.mask[tensor.name].reshape(-1)
                self._write(tensor, generation, np.flatnonzero(coins & eligible & alive))

    def track_generations(self, names: Iterable[str]) -> None:
        """Give these tensors their generation buffers now, so that `state_dict` keys never change."""
        for name in names:
            slot = self.slot(name)
            if slot.generations is None:
                slot.hold(torch.zeros_like(self.parameter(name), dtype=torch.uint8))

    @torch.no_grad()
    def restore(self, generations: Mapping[str, Generations | torch.Tensor | None]) -> None:
        """Set every weight to its value of the given generation, as a resumed search needs: None where all
        are 0. Raises ArgumentError for a tensor that is not named, and what `check_generations` raises.
        """
        self.check_attached("restore weights")
        check_names({"generations": generations}, "state", "generations", self.names)
        arrays = {t.name: generation_array(t, generations[t.name]) for t in self.recipe.tensors}
        for tensor in self.recipe.tensors:
            array = arrays[tensor.name]
            slot, parameter = self.slot(tensor.name), self.parameter(tensor.name)
            parameter.copy_(torch.from_numpy(self.recipe.weights(tensor, array)))
            slot.hold(None if array is None else torch.from_numpy(array).to(parameter.device))

    def detach(self) -> None:
        """Take the source out of the model: plain modules of their own class again, holding the
        weights in use, every parameter trainable or frozen as it was before. Twice is once.

        Raises ArgumentError, with the source still attached, where a search's scores are no numbers any more.
        """
        if not self.attached:
            return
        statistics = self.statistics()
        self._attachment.take_out()
        self._statistics = statistics

    def check_unchanged(self) -> None:
        """Raise TombolaError when the model no longer holds what the recipe says: something beside
        Tombola has written into it, or changed its layers. Once detached the model is the user's, and nothing
        is checked.
        """
        if not self.attached:
            return
        fixed = {constant.name: constant.value for constant in self.recipe.fixed}
        self._attachment.check_places(self.model)
        self._attachment.check_values({**self.weights(), **fixed}, self.mask)

    def check_attached(self, what: str) -> None:
        """Raise ArgumentError when the source was detached: cannot `what` then."""
        if not self.attached:
            raise ArgumentError(f"cannot {what}: the source was detached from its model")

    @torch.no_grad()
    def _attach(self) -> None:
        try:
            self._attachment.put_in()  # first, while nothing is lost should a module refuse
            for tensor in self.recipe.tensors:
                self.parameter(tensor.name).copy_(torch.from_numpy(self.recipe.initial(tensor)))
            for constant in self.recipe.fixed:
                self.parameter(constant.name).fill_(constant.value)
            self.buffers.reset_statistics()
        except BaseException:
            self._attachment.withdraw()
            raise

    def _make_slot(self, tensor: RandomTensor, found: Found) -> Slot:
        casts = casts_its_weights(found)
        if tensor.is_dense and not self._given:
            return Slot(None, casts)
        alive = torch.from_numpy(self.mask[tensor.name].copy())
        return Slot(alive.to(found.parameter.device), casts)

    def _write(self, tensor: RandomTensor, generation: int, indices: np.ndarray) -> None:
        slot, parameter = self.slot(tensor.name), self.parameter(tensor.name)
        self.track_generations([tensor.name])
        values = torch.from_numpy(self.recipe.redrawn(tensor, generation, indices)).to(parameter.device)
        # By coordinates, for a parameter need not be contiguous (channels-last convolutions are not); with an
        # axis more, for it may have none.
        where = torch.unravel_index(torch.from_numpy(indices).to(parameter.device), (1, *tensor.shape))
        parameter.unsqueeze(0)[where] = values
        slot.make_room(generation)
        assert slot.generations is not None
        slot.generations.unsqueeze(0)[where] = generation
