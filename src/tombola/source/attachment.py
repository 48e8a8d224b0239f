"""Attachment: a source's hold on a user's model, from the first slot to the last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import nn

from tombola.source.parameters import Found, current_parameter
from tombola.source.slot import Slot
from tombola.source.surgery import attach_slot, detach_slot


class Attachment:
    """The parameters of a model by name, and the slots over those that are random, once `put_in`."""

    def __init__(self, parameters: Iterable[Found], slots: Mapping[str, Slot]) -> None:
        self._found = {found.name: found for found in parameters}
        self._slots = dict(slots)
        self._requires_grad = {found.name: found.parameter.requires_grad for found in self._found.values()}

    def put_in(self) -> None:
        """Freeze every parameter, and put a slot over each random one."""
        for found in self._found.values():
            found.parameter.requires_grad_(False)
            found.parameter.grad = None
        for name, slot in self._slots.items():
            attach_slot(self._found[name], slot)

    def take_out(self) -> None:
        """Leave plain modules that hold the weights in use, trainable or frozen as they were."""
        for name in self._slots:
            detach_slot(self._found[name])
        for name, found in self._found.items():
            found.parameter.requires_grad_(self._requires_grad[name])

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

    def could_train(self) -> list[str]:
        """The parameters that were trainable before."""
        return [name for name, trainable in self._requires_grad.items() if trainable]
