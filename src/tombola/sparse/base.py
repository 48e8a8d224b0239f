"""SparseTraining: the interface of every method that trains weights under a mask, and its laws.

The laws, tested on every method in `tests/sparse/test_sparse_laws.py`: the mask lies in the source's, at all
times; its counts are exact after every update; pruned weights are +0.0 in the forward pass and in every
file; a weight that is dropped, or grown, has weight 0 and no momentum; a saved state resumes exactly.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from tombola.errors import ArgumentError, check_kind
from tombola.mask import Mask
from tombola.shown import Shown, Table, progress_table
from tombola.source.given import check_source
from tombola.source.init import FloatArray
from tombola.source.network import Source
from tombola.source.settings import check_state
from tombola.sparse.files import Layout, save
from tombola.sparse.masked import Masked
from tombola.sparse.optimizers import Optimizers

Masks = Mapping[str, torch.Tensor]
"""{tensor name: boolean tensor of its shape} of the tensors that take part."""


class SparseTraining(Shown):
    """The weights of a source, trained under `mask`, ready for a method to build on.

        sparse = tombola.sparse.RigL(source, density=0.2)
        optimizer = torch.optim.SGD(sparse.parameters(), lr=0.1, momentum=0.9)
        …  loss.backward(); optimizer.step(); sparse.step()

    Training starts from the source's weights. Biases, normalisation and weights that take no part are
    trained too, whole, unless they were frozen before the source was attached.

    Raises ArgumentError when the source is detached, is searched or trained already, or has nothing to
    train, and for a mask that `set_mask` would refuse; the source is as it was then.

    A new method computes its first mask, hands it to this constructor, and overrides `after_step`, which
    may call `set_mask`. What it needs to go on exactly it adds to `own_state` and `load_own_state`; what must
    hold of it `check_own_state` says.
    """

    def __init__(self, source: Source, mask: Masks) -> None:
        check_free(source)
        _check_masks(source, mask, searched_names(source))
        self.source = source
        self.steps = 0
        # What decides the training, by the names that a user knows; a method adds its own options.
        self.settings: dict[str, Any] = {"method": type(self).__name__, **source.settings}
        self._trained = source.train_weights()
        if not any(name in self._trained for name in mask):
            for parameter in self._trained.values():
                parameter.requires_grad_(False)
            raise ArgumentError("no weight may be trained: all were frozen before the source was attached")
        self.optimizers = Optimizers(self._trained)
        self._masked: dict[str, Masked] = {}
        for name, given in mask.items():
            parameter = source.parameter(name)
            kept = given.to(parameter.device, copy=True)
            with torch.no_grad():
                parameter.masked_fill_(~kept, 0.0)
            source.slot(name).masking = self._masked[name] = Masked(kept)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.mask!r}, {self.steps} steps, {self.source!r})"

    def table(self) -> Table:
        """What notebooks show: how far it is, and the weights kept now."""
        return progress_table(self, self.steps, self.source.seed, self.mask)

    @property
    def mask(self) -> Mask:
        """The weights kept (tensors that take no part: all)."""
        trained = {name: masked.mask.cpu().numpy() for name, masked in self._masked.items()}
        return Mask({**self.source.mask, **trained})

    @property
    def masked(self) -> Mapping[str, Masked]:
        """What stands in the slot of each tensor that takes part, by name."""
        return self._masked

    def masked_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The weights of the tensors that take part, by name."""
        return ((name, self.source.parameter(name)) for name in self._masked)

    def parameters(self) -> Iterator[nn.Parameter]:
        """What an optimiser trains: every parameter that could be before the source was attached."""
        return iter(self._trained.values())

    def weights(self) -> dict[str, FloatArray]:
        """The trained weights by tensor name, each of its parameter's shape, +0.0 where pruned."""
        return {name: self.source.in_use(name).detach().cpu().numpy().copy() for name in self.source.names}

    def watch(self, optimizer: Optimizer) -> None:
        """Tell of an optimiser whose state was loaded, where the mask may change before it steps; others need
        no telling.
        """
        self.optimizers.watch(optimizer)

    def step(self) -> None:
        """To be called after every `optimizer.step()`.

        Raises ArgumentError once the source is detached, and when a weight that an update ranks is no finite
        number any more.
        """
        self.source.check_attached("step")
        self.steps += 1
        try:
            self.after_step()
        except ArgumentError:
            self.steps -= 1  # a step that was refused does not count
            raise

    def after_step(self) -> None:
        """What a method does after an update of the weights; nothing here."""

    @torch.no_grad()
    def set_mask(self, mask: Masks) -> None:
        """Keep the weights of `mask` from now on: those dropped and those grown become 0 and lose what the
        optimiser remembers of them.

        Raises ArgumentError for a mask that leaves the source, has another shape or type, or is of a tensor
        that takes no part, and once the source is detached; nothing is changed then.
        """
        self.source.check_attached("change the mask")
        _check_masks(self.source, mask, self._masked)
        for name, given in mask.items():
            masked, parameter = self._masked[name], self.source.parameter(name)
            kept = given.to(masked.mask.device)
            stale = ~(kept & masked.mask)
            parameter.masked_fill_(stale, 0.0)
            self.optimizers.clear(name, stale)
            masked.mask.copy_(kept)

    def save(self, path: str | os.PathLike[str], layout: Layout = "dense") -> int:
        """Write the trained network's state dict as safetensors (see `tombola.sparse.load`); returns the
        number of bytes.

        `dense`: every tensor as the plain model has it, zeros where pruned. `sparse`: of the masked tensors
        the kept weights alone, and a bit for each weight.
        Raises OSError with an old file left intact.
        """
        return save(plain_state(self.source), self.mask, path, layout)

    def own_state(self) -> dict[str, Any]:
        """What a method needs to go on, beside mask and weights: tensors, numbers and strings only."""
        return {}

    def check_own_state(self, state: Mapping[str, Any], steps: int) -> None:
        """Raise ArgumentError where `load_own_state` could not go on from it, after `steps` steps; nothing is
        changed yet.
        """

    def load_own_state(self, state: Mapping[str, Any]) -> None:
        """Go on from `own_state()`."""

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on exactly, beside the optimiser's own state: tensors, numbers and
        strings only.
        """
        return {
            "settings": copy.deepcopy(self.settings),
            "steps": self.steps,
            "mask": {name: masked.mask.clone() for name, masked in self._masked.items()},
            "weights": {name: parameter.detach().clone() for name, parameter in self._all().items()},
            "buffers": self.source.buffers.state(),
            "own": self.own_state(),
        }

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict()` of a training with the same settings over the same source.

        Raises ArgumentError naming what differs or is missing; nothing is changed then.
        """
        self.source.check_attached("go on")
        buffers, parameters = self.source.buffers, self._all()
        check_state(
            state,
            "training",
            self.settings,
            {
                "mask": {name: masked.mask for name, masked in self._masked.items()},
                "weights": parameters,
                "buffers": buffers.kept(),
                "own": {},
            },
        )
        _check_masks(self.source, {name: state["mask"][name] for name in self._masked}, self._masked)
        self.check_own_state(state["own"], int(state["steps"]))
        for name, parameter in parameters.items():
            parameter.copy_(state["weights"][name])
        for name, masked in self._masked.items():
            masked.mask.copy_(state["mask"][name])
        buffers.load_state(state["buffers"])
        self.steps = int(state["steps"])
        self.load_own_state(state["own"])

    def _all(self) -> dict[str, nn.Parameter]:
        """Every parameter of the model by name."""
        fixed = [constant.name for constant in self.source.recipe.fixed]
        return {name: self.source.parameter(name) for name in (*self.source.names, *fixed)}


def plain_state(source: Source) -> dict[str, torch.Tensor]:
    """The state dict of the plain model, with the weights in use; a tied tensor has one name."""
    state = {name: source.in_use(name).detach() for name in source.names}
    state |= {fixed.name: source.parameter(fixed.name).detach() for fixed in source.recipe.fixed}
    return state | {name: buffer.clone() for name, buffer in source.buffers.kept().items()}


def check_free(source: Source) -> None:
    """Raise ArgumentError where no method can take the source: it is detached, or one has it already."""
    check_source(source)
    source.check_attached("train")
    if any(source.slot(name).masking is not None for name in source.names):
        raise ArgumentError("the source is searched or trained already: make a Source over another model")


def searched_names(source: Source) -> list[str]:
    """The random tensors that take part in a search."""
    return [tensor.name for layer in source.layers if layer.searched for tensor in layer.tensors]


def fit(source: Source, mask: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """A user's mask as boolean tensors of those that take part; the others it may leave out.

    Raises ArgumentError where names or shapes differ, a tensor that takes no part is not kept whole, or
    the mask leaves the source.
    """
    names, shapes = searched_names(source), source.shapes
    others = {name: np.ones(shape, bool) for name, shape in shapes.items() if name not in names}
    given = Mask({**others, **mask})
    given.check_shapes(shapes)
    for name in others:
        if not given[name].all():
            raise ArgumentError(f"mask {name!r}: the tensor takes no part, so it must be kept whole")
    fitted = {name: torch.from_numpy(given[name].copy()) for name in names}
    _check_within(source, fitted)
    return fitted


def _check_masks(source: Source, mask: Masks, names: Collection[str]) -> None:
    """Raise ArgumentError unless each mask is a boolean tensor for one of `names`, within the source."""
    check_kind("mask", mask, Mapping, "give {tensor name: boolean tensor}")
    for name, given in mask.items():
        if name not in names:
            raise ArgumentError(f"mask {name!r}: no tensor that takes part; those are {', '.join(names)}")
        check_kind(f"mask {name!r}", given, torch.Tensor, "torch.from_numpy makes one of an array")
        shape = source.shapes[name]
        if given.dtype != torch.bool or tuple(given.shape) != shape:
            raise ArgumentError(
                f"mask {name!r} must be booleans of shape {shape}, got {given.dtype} of shape "
                f"{tuple(given.shape)}"
            )
    _check_within(source, mask)


def _check_within(source: Source, mask: Masks) -> None:
    for name, kept in mask.items():
        outside = int(np.count_nonzero(kept.cpu().numpy() & ~source.mask[name]))
        if outside:
            raise ArgumentError(f"mask {name!r} keeps {outside} weights outside of the source network")
