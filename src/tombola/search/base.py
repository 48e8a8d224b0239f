"""Search: the interface of every method that finds a ticket, and its laws.

A search gives each weight of a source a score, keeps the best, and trains the scores alone. Its
laws, tested on every method in `tests/test_laws.py`: the kept weights lie in S_ER and their counts
are exact; weights change only by redraw, where pruned and alive; scores change only through the
optimiser; a saved state resumes exactly; the ticket rebuilds the very weights that the forward pass
used.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import is_dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import nn

from tombola.errors import ArgumentError, check_flag, unknown
from tombola.mask import Mask
from tombola.rng import Stream
from tombola.search.counts import LayerDensity, check_scope, kept_counts
from tombola.search.schedule import DensitySchedule, Geometric
from tombola.search.select import Group, Scored
from tombola.shown import Shown, Table, progress_table
from tombola.source.density import AnyRule, rule_name
from tombola.source.given import check_source
from tombola.source.init import kaiming_uniform, uniform
from tombola.source.network import Source
from tombola.source.plan import Layer
from tombola.source.recipe import RandomTensor
from tombola.source.settings import check_names, check_state, plain
from tombola.ticket.ticket import Ticket

SCORE_INITS = ("fan_in", "kaiming_uniform")


class Search(Shown):
    """Edge-popup's scores and thresholds, ready for a method to build on.

    Parameters
    ----------
    source : the network to search in, attached.
    density : fraction kept of all weights searched, in (0, 1], or {layer name: fraction}. Or a schedule,
        steps so far -> density, to anneal it (`Geometric`, or any function): where its rule asks for more of
        a layer than is alive, on the way, all that is alive is kept.
    rule : layerwise rule of the ticket's density, as in `densities`; None thins the source evenly.
    scope : `layer`, one threshold a layer, or `global`, one over all layers with the same total.
    absolute : rank by |score| instead of score.
    score_init : `fan_in`, U(-b, b) with b = 1 / √n_in (Ramanujan et al. 2020), or
        `kaiming_uniform`, b = √(6 / n_in) (paper A's configuration).

    Raises ArgumentError for an option out of range, and when the source is detached or searched
    already.

    A new method overrides `after_step`, which runs once scores and masks are up to date.
    """

    def __init__(
        self,
        source: Source,
        density: LayerDensity | DensitySchedule = 0.5,
        *,
        rule: AnyRule | None = None,
        scope: str = "layer",
        absolute: bool = False,
        score_init: str = "fan_in",
    ) -> None:
        check_scope("threshold", scope, density, rule)
        if score_init not in SCORE_INITS:
            raise unknown("score init", score_init, SCORE_INITS)
        check_flag("absolute", absolute)
        check_source(source)
        source.check_attached("search")
        if torch.is_inference_mode_enabled():
            raise ArgumentError("no search can be made under torch.inference_mode(): its scores never learn")
        self.density: LayerDensity = density(0) if callable(density) else density
        counts = kept_counts(source, self.density, rule, capped=callable(density))
        if isinstance(density, Geometric):
            kept_counts(source, density.final, rule)  # better refused now than when it gets there
        self.source = source
        self.steps = 0
        self._anneal = density if callable(density) else None
        self._rule, self._scope = rule, scope
        # What decides the search, by the names that a user knows; a method adds its own options.
        self.settings: dict[str, Any] = {
            "method": type(self).__name__,
            **source.settings,
            "density": _plain(density),
            "ticket rule": None if rule is None else rule_name(rule),
            "kept": counts,
            "scope": scope,
            "absolute": absolute,
            "score_init": score_init,
        }
        layers = [layer for layer in source.layers if layer.searched]
        self._scored = self._place_scores(layers, absolute, score_init)
        self._groups = self._make_groups(layers, counts, scope)
        try:
            self.select()
        except BaseException:
            for name in self._scored:
                source.slot(name).masking = None
            raise

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._shown_mask()!r}, {self.steps} steps, {self.source!r})"

    def table(self) -> Table:
        """What notebooks show: how far it is, and the weights kept now."""
        return progress_table(self, self.steps, self.source.seed, self._shown_mask())

    @property
    def scores(self) -> dict[str, nn.Parameter]:
        """The trainable scores, {tensor name: Parameter of the tensor's shape}."""
        return {name: scored.scores for name, scored in self._scored.items()}

    def parameters(self) -> Iterator[nn.Parameter]:
        """What an optimiser trains: the scores and nothing else."""
        return iter(self.scores.values())

    @property
    def mask(self) -> Mask:
        """The weights kept by the scores as they are now (tensors that take no part: all)."""
        self.select()
        return self._mask_in_use()

    def select(self) -> None:
        """Set the masks from the scores as they are now."""
        for group in self._groups:
            group.select()

    def step(self) -> None:
        """To be called after every `optimizer.step()`: selects the masks, then `after_step`.

        Raises ArgumentError once the source is detached, or when a score is no finite number any more.
        """
        self.source.check_attached("step")
        self._follow_schedule(self.steps + 1)
        try:
            self.select()
        except ArgumentError:
            self._follow_schedule(self.steps)  # a step that was refused does not count
            raise
        self.steps += 1
        self.after_step()
        for group in self._groups:
            group.ensure_current()

    def after_step(self) -> None:
        """What a method does once scores and masks are up to date; nothing here."""

    def pruned(self) -> dict[str, torch.Tensor]:
        """The weights not kept (boolean tensors of the parameters' shapes), dead ones included."""
        return dict(self.each_pruned())

    def each_pruned(self) -> Iterator[tuple[str, torch.Tensor]]:
        """The items of `pruned`, made one after another."""
        return ((name, ~mask) for name, mask in self._masks())

    def ticket(self, metadata: Mapping[str, str] | None = None) -> Ticket:
        """The subnetwork found, as a seed and a mask, with the normalisation statistics.

        Warns when other buffers of the model have changed, for no ticket stores those.

        Raises TombolaError if the ticket would not rebuild the weights in use, bit for bit: then
        something else has written into the model.
        """
        self.source.check_unchanged()
        changed = self.source.buffers.changed() if self.source.attached else []
        if changed:
            warnings.warn(
                f"buffers that a ticket does not store have changed since the source was attached: "
                f"{', '.join(changed)}; the network rebuilt will have them as its constructor makes them",
                stacklevel=2,
            )
        return Ticket.from_mask(self.source, self.mask, metadata=metadata)

    def state_dict(self) -> dict[str, Any]:
        """All that the search needs to go on exactly, beside the optimiser's own state: tensors,
        numbers and strings only.
        """
        return {
            "settings": copy.deepcopy(self.settings),
            "steps": self.steps,
            "scores": {name: scores.detach().clone() for name, scores in self.scores.items()},
            "generations": {
                name: None if array is None else torch.from_numpy(array)
                for name, array in self.source.generations().items()
            },
            "buffers": self.source.buffers.state(),
        }

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict()` of a search with the same settings over the same source.

        Raises ArgumentError naming what differs or is missing; nothing is changed then.
        """
        buffers = self.source.buffers
        check_state(state, "search", self.settings, {"scores": self.scores, "buffers": buffers.kept()})
        check_names(state, "search", "generations", self.source.names)
        steps = int(state["steps"])
        self._counts_after(steps)
        for name in self.scores:
            if not bool(torch.isfinite(state["scores"][name]).all()):
                raise ArgumentError(f"the saved search has scores for {name!r} that are no finite numbers")
        self.source.restore(state["generations"])
        buffers.load_state(state["buffers"])
        for name, scores in self.scores.items():
            scores.copy_(state["scores"][name])
        self.steps = steps
        self._follow_schedule(steps)
        self.select()

    def _mask_in_use(self) -> Mask:
        searched = {name: mask.cpu().numpy() for name, mask in self._masks()}
        return Mask({**self.source.mask, **searched})

    def _shown_mask(self) -> Mask:
        """The mask; where scores tell none, for one is no number or the model was cast, the one in use."""
        with suppress(ArgumentError):
            self.select()
        return self._mask_in_use()

    def _masks(self) -> Iterator[tuple[str, torch.Tensor]]:
        return ((name, one.mask(self.source.slot(name).alive)) for name, one in self._scored.items())

    def _place_scores(self, layers: list[Layer], absolute: bool, score_init: str) -> dict[str, Scored]:
        names = [tensor.name for layer in layers for tensor in layer.tensors]
        if any(self.source.slot(name).masking is not None for name in names):
            raise ArgumentError("the source is searched already: make a Source over another model")
        placed = {}
        for layer in layers:
            for tensor in layer.tensors:
                scores = torch.from_numpy(initial_scores(self.source, tensor, score_init))
                slot = self.source.slot(tensor.name)
                device = self.source.parameter(tensor.name).device
                scored = Scored(tensor.name, scores.to(device), absolute, slot.running)
                slot.masking = placed[tensor.name] = scored
        return placed

    def _follow_schedule(self, steps: int) -> None:
        """Keep as many weights as the schedule wants after `steps` steps."""
        if self._anneal is None or self._anneal(steps) == self.density:
            return
        self.density, counts = self._counts_after(steps)
        for group in self._groups:
            group.set_keep(sum(counts.values()) if self._scope == "global" else counts[group.name])

    def _counts_after(self, steps: int) -> tuple[LayerDensity, dict[str, int]]:
        """The density after so many steps, and the k_l. Raises what `kept_counts` raises."""
        annealed = self._anneal is not None
        density = self._anneal(steps) if self._anneal is not None else self.density
        return density, kept_counts(self.source, density, self._rule, capped=annealed)

    def _make_groups(self, layers: list[Layer], counts: Mapping[str, int], scope: str) -> list[Group]:
        annealed = self._anneal is not None
        slots = {layer.name: [self.source.slot(t.name) for t in layer.tensors] for layer in layers}
        if scope == "global":
            groups = [Group([*chain(*slots.values())], sum(counts.values()), "all layers", annealed)]
        else:
            groups = [Group(slots[name], counts[name], name, annealed) for name in slots]
        for group in groups:
            group.claim()
        return groups


def initial_scores(source: Source, tensor: RandomTensor, score_init: str) -> np.ndarray:
    """Scores of one tensor, float32 of its shape, drawn from the source's seed.

    Outside S_ER they are 0: with no gradient either, weight decay and momentum leave them there.
    """
    words = Stream(source.seed, tensor.name, "score").words(tensor.size)
    if score_init == "kaiming_uniform":
        scores = kaiming_uniform(words, tensor.fan_in)
    else:
        scores = uniform(words, tensor.fan_in) * np.float32(1.0 / math.sqrt(tensor.fan_in))
    return np.where(source.mask[tensor.name], scores.reshape(tensor.shape), np.float32(0.0))


def _plain(density: LayerDensity | DensitySchedule) -> Any:
    """What a saved state holds of a density: numbers and strings only."""
    if callable(density):
        return repr(density) if is_dataclass(density) else getattr(density, "__qualname__", "a schedule")
    return plain(density)
