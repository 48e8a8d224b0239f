"""Putting slots into modules and taking them out again: the inverse restores what was there.

torch's own removal re-registers a parameter at the end of its module; `detach_slot` also puts the
parameters back into their old order, so `state_dict` keys come as before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from tombola.errors import ArgumentError, check_kind
from tombola.source.slot import Slot


@dataclass(frozen=True)
class Place:
    """An attribute of a module that holds a parameter, and the order of its module's parameters."""

    module: nn.Module
    attribute: str
    order: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """A parameter of a model: its first dotted name and every place that holds it (ties)."""

    name: str
    parameter: nn.Parameter
    places: tuple[Place, ...]


def find_parameters(model: nn.Module) -> list[Found]:
    """Every parameter of `model` once, in order of first appearance.

    Raises ArgumentError for parameters that cannot be drawn: uninitialised (lazy) ones, other types
    than float32, and those under a parametrization already.
    """
    names: dict[int, str] = {}
    places: dict[int, list[Place]] = {}
    parameters: dict[int, nn.Parameter] = {}
    for name, parameter, place in _walk(model):
        names.setdefault(id(parameter), name)
        places.setdefault(id(parameter), []).append(place)
        parameters[id(parameter)] = parameter
    return [Found(names[key], parameters[key], tuple(places[key])) for key in names]


def check_plain(model: nn.Module) -> None:
    """Raise ArgumentError for a wrapper, under which every parameter has another name: a ticket found
    through it would fit no plain model; and for what is no module.
    """
    check_kind("model", model, nn.Module, "give the network itself")
    for inside in ("_orig_mod", "module"):
        wrapped = (nn.DataParallel, nn.parallel.DistributedDataParallel) if inside == "module" else nn.Module
        if inside in model._modules and isinstance(model, wrapped):
            raise ArgumentError(
                f"{type(model).__name__} wraps a model: give Source the model itself (its .{inside}) and "
                "wrap it afterwards"
            )


def class_name(model: nn.Module) -> str:
    """The name of a module's class as its author wrote it: slots put another class in its place."""
    return parametrize.type_before_parametrizations(model).__name__


def current_parameter(found: Found) -> nn.Parameter:
    """The parameter that stands at the first place now, whether a slot is over it or not."""
    place = found.places[0]
    if parametrize.is_parametrized(place.module, place.attribute):
        lists = place.module.parametrizations
        assert isinstance(lists, nn.ModuleDict)
        original = lists[place.attribute].original
        assert isinstance(original, nn.Parameter)
        return original
    parameter = place.module._parameters[place.attribute]
    assert parameter is not None
    return parameter


_CASTING = (
    nn.Linear,
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)


def casts_its_weights(found: Found) -> bool:
    """Whether under autocast every module that holds the parameter casts it before it computes with it."""
    forwards = [kind.forward for kind in _CASTING]
    return all(type(place.module).forward in forwards for place in found.places)


def attach_slot(found: Found, slot: Slot) -> None:
    """Put one slot at every place of a parameter; the parameter itself stays the same object."""
    for place in found.places:
        # unsafe only skips a trial forward: a slot keeps shape and type.
        parametrize.register_parametrization(place.module, place.attribute, slot, unsafe=True)
        if slot.running is not None and "forward" not in vars(type(place.module)):
            _count_forward_passes(type(place.module))


def _count_forward_passes(kind: Any) -> None:
    """Let the slots of a module know when it is its own forward pass that reads them: others, such as a
    parent that normalises a layer's weight, are to find float32 there under autocast.

    `kind` is the class that torch's parametrization makes for the module, and that its copies share.
    """
    plain = kind.forward

    def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        lists: Any = self.parametrizations
        running = [slots[0].running for slots in lists.values() if slots[0].running is not None]
        for one in running:
            one.count += 1
        try:
            return plain(self, *args, **kwargs)
        finally:
            for one in running:
                one.count -= 1

    kind.forward, kind._plain_forward = forward, plain


def plain_forward(kind: type[nn.Module]) -> Any:
    """The `forward` that a class of modules has of itself, whether or not a slot counts its passes."""
    return vars(kind).get("_plain_forward", kind.forward)


def detach_slot(found: Found) -> None:
    """Take the slot out at every place, leaving the weight in use in the same Parameter object."""
    for place in found.places:
        _own_class(place.module)
        parametrize.remove_parametrizations(place.module, place.attribute, leave_parametrized=True)
        parameters = place.module._parameters
        for attribute in place.order:
            if attribute in parameters:
                parameters[attribute] = parameters.pop(attribute)


def _own_class(module: nn.Module) -> None:
    """Give a parametrized module a class that none of its copies shares: torch's removal takes the attribute
    from the class.
    """
    shared = type(module)
    inside = {name: value for name, value in vars(shared).items() if name not in ("__dict__", "__weakref__")}
    module.__class__ = type(shared.__name__, shared.__bases__, inside)


def _walk(model: nn.Module) -> Iterator[tuple[str, nn.Parameter, Place]]:
    for prefix, module in model.named_modules():
        if isinstance(module, parametrize.ParametrizationList):
            raise ArgumentError(
                f"module {f'.{prefix}'.partition('.parametrizations')[0][1:]!r} is parametrized already "
                "(another Source, or weight_norm and the like): detach or remove that first"
            )
        order = tuple(module._parameters)
        for attribute, parameter in module._parameters.items():
            if parameter is not None:
                name = f"{prefix}.{attribute}" if prefix else attribute
                _check(name, parameter)
                yield name, parameter, Place(module, attribute, order)


def _check(name: str, parameter: nn.Parameter) -> None:
    if isinstance(parameter, nn.parameter.UninitializedParameter):
        raise ArgumentError(f"parameter {name!r} has no shape yet: run the lazy model once on a batch")
    if parameter.dtype != torch.float32:
        raise ArgumentError(
            f"parameter {name!r} must be float32, got {parameter.dtype}: call model.float(), "
            "and torch.autocast for lower precision"
        )
