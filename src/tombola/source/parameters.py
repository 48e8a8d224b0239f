"""The parameters of a user's model, where each stands, and which models cannot be taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.utils import parametrize

from tombola.errors import ArgumentError, check_kind

_RUN_ONCE = "run the lazy model once on a batch"


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
    than float32, and those under a parametrization already; and for uninitialised buffers.
    """
    names: dict[int, str] = {}
    places: dict[int, list[Place]] = {}
    parameters: dict[int, nn.Parameter] = {}
    for name, parameter, place in _walk(model):
        names.setdefault(id(parameter), name)
        places.setdefault(id(parameter), []).append(place)
        parameters[id(parameter)] = parameter
    return [Found(names[key], parameters[key], tuple(places[key])) for key in names]


def check_writable(parameters: Iterable[Found]) -> None:
    """Raise ArgumentError for parameters that no values can be written into."""
    if torch.is_inference_mode_enabled():
        raise ArgumentError("no source can be made under torch.inference_mode(): its tensors never learn")
    for found in parameters:
        if found.parameter.is_meta:
            raise ArgumentError(
                f"parameter {found.name!r} is on the meta device, where nothing has a value: call "
                'model.to_empty(device="cpu") first'
            )
        if found.parameter.is_inference():
            raise ArgumentError(
                f"parameter {found.name!r} was made under torch.inference_mode(), and can never be written "
                "to: make the model outside of it"
            )


def check_takes_slot(found: Found) -> None:
    """Raise ArgumentError where torch's parametrization has another use for the attribute's name."""
    for place in found.places:
        if hasattr(nn.ModuleDict, place.attribute):
            raise ArgumentError(
                f"parameter {found.name!r} cannot be masked under that name, which torch.nn.ModuleDict needs "
                "for itself: rename it, or pass it in fixed"
            )


def check_plain(model: nn.Module) -> None:
    """Raise ArgumentError for a wrapper, of the model or of a part, under which parameters have other names:
    a ticket found through it would fit no plain model; for a scripted module, which takes no slots; and for
    what is no module.
    """
    check_kind("model", model, nn.Module, "give the network itself")
    for prefix, module in model.named_modules():
        kind = type(module).__name__
        where = f", module {prefix!r}," if prefix else ""
        if isinstance(module, torch.jit.ScriptModule):
            raise ArgumentError(f"{kind}{where} is compiled: give Source the model that it was scripted from")
        for inside in ("_orig_mod", "module"):
            data_parallel = (nn.DataParallel, nn.parallel.DistributedDataParallel)
            if inside in module._modules and isinstance(
                module, data_parallel if inside == "module" else nn.Module
            ):
                raise ArgumentError(
                    f"{kind}{where} wraps a model: give Source the model itself (its .{inside}) and wrap it "
                    "afterwards"
                )


def class_name(model: nn.Module) -> str:
    """The name of a module's class as its author wrote it: slots put another class in its place."""
    return parametrize.type_before_parametrizations(model).__name__


def current_parameter(found: Found, at: Place | None = None) -> nn.Parameter | None:
    """The parameter that stands at the first place now, or `at` another, whether a slot is over it or not."""
    place = at or found.places[0]
    held = parameters_at(place)
    return held.get("original", held.get(place.attribute))


def parameters_at(place: Place) -> dict[str, nn.Parameter]:
    """All that stand at a place now, by their names in what holds them: under a slot one, `original`; under
    another parametrization as many as it makes of it; and none where the parameter is gone.
    """
    holder: nn.Module = place.module
    held = {place.attribute: holder._parameters.get(place.attribute)}
    if parametrize.is_parametrized(holder, place.attribute):
        lists = holder.parametrizations
        assert isinstance(lists, nn.ModuleDict)
        held = dict(lists[place.attribute]._parameters)
    return {name: parameter for name, parameter in held.items() if parameter is not None}


def _walk(model: nn.Module) -> Iterator[tuple[str, nn.Parameter, Place]]:
    for prefix, module in model.named_modules():
        if isinstance(module, parametrize.ParametrizationList):
            raise ArgumentError(
                f"module {f'.{prefix}'.partition('.parametrizations')[0][1:]!r} is parametrized already "
                "(another Source, or weight_norm and the like): detach or remove that first"
            )
        for attribute, buffer in module._buffers.items():
            if isinstance(buffer, nn.parameter.UninitializedBuffer):
                raise ArgumentError(f"buffer {dotted(prefix, attribute)!r} has no shape yet: {_RUN_ONCE}")
        order = tuple(module._parameters)
        for attribute, parameter in module._parameters.items():
            if parameter is not None:
                name = dotted(prefix, attribute)
                _check(name, parameter)
                yield name, parameter, Place(module, attribute, order)


def dotted(prefix: str, attribute: str) -> str:
    """The name of a module's own parameter or buffer."""
    return f"{prefix}.{attribute}" if prefix else attribute


def _check(name: str, parameter: nn.Parameter) -> None:
    if isinstance(parameter, nn.parameter.UninitializedParameter):
        raise ArgumentError(f"parameter {name!r} has no shape yet: {_RUN_ONCE}")
    if parameter.dtype != torch.float32:
        raise ArgumentError(
            f"parameter {name!r} must be float32, got {parameter.dtype}: call model.float(), "
            "and torch.autocast for lower precision"
        )
