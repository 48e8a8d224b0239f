"""Attachment: a source's hold on a user's model, from the first slot to the last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import nn

from tombola.errors import TombolaError
from tombola.mask import BoolArray
from tombola.source.init import FloatArray
from tombola.source.parameters import Found, current_parameter
from tombola.source.slot import Slot
from tombola.source.surgery import attach_slot, detach_slot, withdraw_slot


class Attachment:
    """The parameters of a model by name, and the slots over those that are random, once `put_in`."""

    def __init__(self, parameters: Iterable[Found], slots: Mapping[str, Slot]) -> None:
        self._found = {found.name: found for found in parameters}
        self._slots = dict(slots)
        self._requires_grad = {found.name: found.parameter.requires_grad for found in self._found.values()}

    def put_in(self) -> None:
        """Put a slot over each random parameter, and freeze all. Should a module refuse, none is left."""
        try:
            for name, slot in self._slots.items():
                attach_slot(self._found[name], slot)
        except BaseException:
            for name in self._slots:
                withdraw_slot(self._found[name])
            raise
        for found in self._found.values():
            found.parameter.requires_grad_(False)
            found.parameter.grad = None

    def take_out(self) -> None:
        """Leave plain modules that hold the weights in use, trainable or frozen as they were. Should those
        not be had, say because a score is no number, that is raised before anything changes.
        """
        for name in self._slots:
            self.in_use(name)
        for name in self._slots:
            detach_slot(self._found[name])
        for name, found in self._found.items():
            for place in found.places:  # which may hold other objects now
                parameter = place.module._parameters[place.attribute]
                if parameter is not None:
                    parameter.requires_grad_(self._requires_grad[name])

    def slots(self) -> dict[str, Slot]:
        """The slots, by the names of their tensors."""
        return self._slots

    def parameter(self, name: str) -> nn.Parameter:
        """The parameter itself, not what a slot makes of it. Looked up where it stands, for a model may have
        replaced the object.
        """
        return current_parameter(self._found[name])

    def module(self, name: str) -> nn.Module:
        """The first module that holds the parameter."""
        return self._found[name].places[0].module

    def in_use(self, name: str) -> torch.Tensor:
        """What the model computes with."""
        weight: torch.Tensor = getattr(self.module(name), self._found[name].places[0].attribute)
        return weight

    def check_modules(self, model: nn.Module) -> None:
        """Raise TombolaError when a layer of `model` was put in another's place, or beside the others."""
        mine: dict[int, str] = {}
        for found in self._found.values():
            for place in found.places:
                mine.setdefault(id(place.module), found.name)
        for prefix, module in model.named_modules():
            if ".parametrizations." in f".{prefix}." or mine.pop(id(module), None) is not None:
                continue
            if any(parameter is not None for parameter in module._parameters.values()):
                raise TombolaError(
                    f"module {prefix!r} was put into the model after the source was attached: no ticket "
                    "holds its weights"
                )
        if mine:
            name = next(iter(mine.values()))
            raise TombolaError(f"the module that held {name!r} is no longer in the model: no ticket fits it")

    def check_values(
        self, expected: Mapping[str, FloatArray | float], alive: Mapping[str, BoolArray]
    ) -> None:
        """Raise TombolaError when a parameter holds another value than is expected, or a slot other edges."""
        for name, slot in self._slots.items():
            if slot.alive is not None and not np.array_equal(slot.alive.cpu().numpy(), alive[name]):
                raise TombolaError(
                    f"the source's edges in {name!r} are no longer those drawn: another source's state was "
                    "loaded into the model, and no ticket could rebuild it"
                )
        for name, value in expected.items():
            found = self.parameter(name).detach().cpu().numpy()
            if not np.array_equal(found, np.broadcast_to(np.float32(value), found.shape)):
                raise TombolaError(
                    f"parameter {name!r} no longer holds its value from the seed: it was changed outside "
                    "of Tombola, and no ticket could rebuild it"
                )

    def could_train(self) -> list[str]:
        """The parameters that were trainable before."""
        return [name for name, trainable in self._requires_grad.items() if trainable]
