"""Attachment: a source's hold on a user's model, from the first slot to the last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrize

from tombola.errors import TombolaError
from tombola.mask import BoolArray
from tombola.source.init import FloatArray
from tombola.source.parameters import Found, current_parameter, dotted, parameters_at
from tombola.source.slot import Slot
from tombola.source.surgery import attach_slot, detach_slot, slot_at, withdraw_slot


class Attachment:
    """The parameters of a model by name, and the slots over those that are random, once `put_in`."""

    def __init__(self, parameters: Iterable[Found], slots: Mapping[str, Slot]) -> None:
        self._found = {found.name: found for found in parameters}
        self._slots = dict(slots)
        self._requires_grad = {found.name: found.parameter.requires_grad for found in self._found.values()}

    def put_in(self) -> None:
        """Put a slot over each random parameter, and freeze all."""
        for name, slot in self._slots.items():
            attach_slot(self._found[name], slot)
        for found in self._found.values():
            found.parameter.requires_grad_(False)
            found.parameter.grad = None

    def withdraw(self) -> None:
        """Take every slot out again, however far `put_in` has come; of values nothing changes."""
        for name, slot in self._slots.items():
            withdraw_slot(self._found[name], slot)
        self._thaw()

    def take_out(self) -> None:
        """Leave plain modules that hold the weights in use, trainable or frozen as they were. Should those
        not be had, say because a score is no number, that is raised before anything changes.
        """
        for name in self._slots:
            self.in_use(name)
        for name, slot in self._slots.items():
            detach_slot(self._found[name], slot)
        self._thaw()

    def _thaw(self) -> None:
        for name, found in self._found.items():
            for place in found.places:
                if slot_at(place) is not None:
                    continue  # another source's, which holds it frozen
                for parameter in parameters_at(place).values():
                    parameter.requires_grad_(self._requires_grad[name])

    def slots(self) -> dict[str, Slot]:
        """The slots, by the names of their tensors."""
        return self._slots

    def parameter(self, name: str) -> nn.Parameter:
        """The parameter itself, not what a slot makes of it. Looked up where it stands, for a model may have
        replaced the object. Raises TombolaError where it is gone.
        """
        parameter = current_parameter(self._found[name])
        if parameter is None:
            raise TombolaError(f"the model has no parameter {name!r} any more")
        return parameter

    def module(self, name: str) -> nn.Module:
        """The first module that holds the parameter."""
        return self._found[name].places[0].module

    def in_use(self, name: str) -> torch.Tensor:
        """What the model computes with."""
        weight: torch.Tensor = getattr(self.module(name), self._found[name].places[0].attribute)
        return weight

    def check_places(self, model: nn.Module) -> None:
        """Raise TombolaError unless `model` has the parameters that it had, each under its name, with its
        slot over it if it has one, and no others.
        """
        names = {id(current_parameter(found)): name for name, found in self._found.items()}
        where: dict[str, list[str]] = {name: [] for name in self._found}
        others = []
        for name, parameter, owner in _parameters(model):
            known = names.get(id(parameter))
            if known is None:
                others.append(name)
            elif self._is_owner(known, owner):
                where[known].append(name)
        for name, found in self._found.items():
            standing = [current_parameter(found, at) for at in found.places]
            gone = any(each is None for each in standing)
            if not gone and any(each is not standing[0] for each in standing):
                raise TombolaError(
                    f"parameter {name!r} is no longer tied, as it was when the source was attached "
                    "(load_state_dict with assign=True cuts ties): tie it again"
                )
            if gone or name not in where[name] or len(where[name]) < len(found.places):
                raise TombolaError(
                    f"parameter {name!r} is no longer where it was when the source was attached, or computes "
                    "otherwise: no ticket fits the model"
                )
        if others:
            raise TombolaError(
                f"parameter {others[0]!r} was put into the model after the source was attached: no ticket "
                "holds it"
            )

    def _is_owner(self, name: str, owner: nn.Module) -> bool:
        """Whether a parameter is held as it was: under its own slot alone, or, fixed, under nothing."""
        listed = isinstance(owner, parametrize.ParametrizationList)
        if name not in self._slots:
            return not listed
        return listed and list(owner) == [self._slots[name]]  # type: ignore[call-overload]

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


def _parameters(model: nn.Module) -> Iterator[tuple[str, nn.Parameter, nn.Module]]:
    """The model's own parameters, those under slots too, by the names that they had without, and the modules
    that hold them.
    """
    inside: set[int] = set()
    for prefix, module in model.named_modules():
        if isinstance(module, Slot):
            inside |= {id(each) for each in module.modules()}
        if id(module) in inside:
            continue
        listed = isinstance(module, parametrize.ParametrizationList)
        for attribute, parameter in module._parameters.items():
            if parameter is not None:
                name = dotted(prefix, attribute)
                if listed and attribute == "original":
                    name = ".".join(part for part in prefix.split(".") if part != "parametrizations")
                yield name, parameter, module
