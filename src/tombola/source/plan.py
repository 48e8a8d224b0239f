"""From a model and the options of `Source` to a recipe and its layers, before anything changes."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np
from torch import nn

from tombola.errors import ArgumentError
from tombola.mask import Mask
from tombola.rng import threshold
from tombola.source.density import AnyRule, check_density, densities, meets, overall
from tombola.source.parameters import Found, check_plain, find_parameters
from tombola.source.recipe import MAX_FAN_IN, MIN_FAN_DENSITY, MIN_FAN_IN, FixedTensor, RandomTensor, Shape
from tombola.source.roles import Bias, Fixed, Role, Weight, role_of

# The greatest that float32 holds.
MAX_FIXED = float(np.finfo(np.float32).max)

# Of parameters of no known kind, beside the first.
_MOST_NAMED = 5

Include = Callable[[str], bool] | Iterable[str] | str | None


@dataclass(frozen=True)
class Layer:
    """The tensors that share one p_l and one threshold: a weight, and its bias if that is drawn."""

    name: str
    tensors: tuple[RandomTensor, ...]
    searched: bool

    @property
    def size(self) -> int:
        """The number of entries of all its tensors, m_l."""
        return sum(tensor.size for tensor in self.tensors)


@dataclass(frozen=True)
class Plan:
    """What `Source` is going to do to a model."""

    layers: tuple[Layer, ...]
    fixed: tuple[FixedTensor, ...]
    densities: dict[str, float]
    density: float


def make_plan(
    parameters: list[Found],
    *,
    density: float,
    rule: AnyRule,
    exact: bool,
    bias: bool,
    fan_density: float | Mapping[str, float] | None,
    include: Include,
    fan_in: Mapping[str, float],
    fixed: Mapping[str, float],
) -> Plan:
    """Sort the parameters into layers and fixed tensors and settle every density.

    Raises ArgumentError where an option does not fit the model, or nothing is left to search.
    """
    for option, given in (("fan_in", fan_in), ("fixed", fixed)):
        for pattern, value in given.items():
            _check_number(option, pattern, value)
    layers, constants = _sort(parameters, bias, fan_in, fixed)
    takes_part = _predicate(include)
    asked = [layer.name for layer in layers if takes_part(layer.name)]
    # A layer without weights has nothing to search; it is no reason to refuse a model.
    layers = [replace(layer, searched=layer.name in asked and layer.tensors[0].size > 0) for layer in layers]
    shapes = {layer.name: layer.tensors[0].shape for layer in layers if layer.searched}
    if not layers:
        raise ArgumentError(
            "the model has nothing to mask: expected a Linear, convolution, embedding or attention layer"
        )
    if not asked:
        names = ", ".join(layer.name for layer in layers)
        raise ArgumentError(f"include matches none of the weights: {names}")
    density = check_density(density)
    spread = densities(shapes, density, rule) if shapes else {}
    scales = _fan_densities(fan_density, list(shapes))
    settled = tuple(
        replace(layer, tensors=tuple(_settle(t, layer, spread, scales, exact) for t in layer.tensors))
        for layer in layers
    )
    # A rule of one's own may spread another density than the one asked for.
    expected = density if not shapes or meets(shapes, spread, density) else overall(shapes, spread)
    return Plan(settled, tuple(constants), spread, expected)


def plan_within(plan: Plan, mask: Mask) -> Plan:
    """`plan` for a source whose edges are those of `mask`: its densities are what the mask has.

    Raises ArgumentError where names or shapes differ, a layer that takes no part is not kept whole, or
    nothing is kept at all.
    """
    mask.check_shapes({tensor.name: tensor.shape for layer in plan.layers for tensor in layer.tensors})
    kept = {layer.name: sum(int(mask[t.name].sum()) for t in layer.tensors) for layer in plan.layers}
    for layer in plan.layers:
        if not layer.searched and kept[layer.name] < layer.size:
            raise ArgumentError(f"mask {layer.name!r}: the layer takes no part, so it must be kept whole")
    searched = [layer for layer in plan.layers if layer.searched]
    total = sum(kept[layer.name] for layer in searched)
    if total == 0:
        raise ArgumentError("the mask keeps no weight at all")
    densities_drawn = {layer.name: kept[layer.name] / max(1, layer.size) for layer in searched}
    return replace(plan, densities=densities_drawn, density=total / sum(layer.size for layer in searched))


def _sort(
    parameters: list[Found], bias: bool, fan_in: Mapping[str, float], fixed: Mapping[str, float]
) -> tuple[list[Layer], list[FixedTensor]]:
    """Layers in the model's order, each with its drawn bias; everything else as fixed tensors."""
    roles = _roles(parameters, fan_in, fixed)
    _check_patterns("fan_in", fan_in, roles)
    _check_patterns("fixed", fixed, roles)
    drawn: dict[str, list[RandomTensor]] = {}
    constants = []
    for found in parameters:
        role, shape = roles[found.name], tuple(found.parameter.shape)
        if isinstance(role, Weight):
            # A bias may stand before its weight, and then has opened the layer already.
            drawn.setdefault(found.name, []).insert(0, RandomTensor(found.name, shape, _tidy(role.fan_in)))
        elif isinstance(role, Bias) and bias:
            weight = _owner(found, role.weight, parameters)
            weight_role = roles[weight]
            if not isinstance(weight_role, Weight):
                constants.append(FixedTensor(found.name, shape, 0.0))
                continue
            drawn.setdefault(weight, []).append(RandomTensor(found.name, shape, _tidy(weight_role.fan_in)))
        else:
            value = np.float32(role.value if isinstance(role, Fixed) else 0.0)
            constants.append(FixedTensor(found.name, shape, float(value)))
    return [Layer(name, tuple(tensors), searched=True) for name, tensors in drawn.items()], constants


def _roles(
    parameters: list[Found], fan_in: Mapping[str, float], fixed: Mapping[str, float]
) -> dict[str, Role]:
    """What each parameter is, by name; all that are of no known kind are named at once."""
    told = {
        found.name: role_of(found.name, found.places[0].attribute, found.places[0].module, fan_in, fixed)
        for found in parameters
    }
    unknown = [found for found in parameters if told[found.name] is None]
    if unknown:
        first, others = unknown[0], unknown[1:]
        shown = [f"{found.name!r}, shape {tuple(found.parameter.shape)}" for found in others[:_MOST_NAMED]]
        if len(others) > _MOST_NAMED:
            shown.append(f"and {len(others) - _MOST_NAMED} more")
        raise ArgumentError(
            f"parameter {first.name!r} of {type(first.places[0].module).__name__}, shape "
            f"{tuple(first.parameter.shape)}, is of no known kind: pass fixed={{{first.name!r}: value}} or "
            f"fan_in={{{first.name!r}: n}} to Source{'; likewise for ' if shown else ''}{'; '.join(shown)}"
        )
    return {name: role for name, role in told.items() if role is not None}


def _owner(bias: Found, weight_attribute: str, parameters: list[Found]) -> str:
    """The name of the weight that stands beside a bias (another name where the weight is tied)."""
    home = bias.places[0].module
    weight = home._parameters.get(weight_attribute)
    for found in parameters:
        if found.parameter is weight:
            return found.name
    raise ArgumentError(f"bias {bias.name!r} stands beside no parameter {weight_attribute!r} to share with")


def _settle(
    tensor: RandomTensor,
    layer: Layer,
    spread: Mapping[str, float],
    scales: Mapping[str, float],
    exact: bool,
) -> RandomTensor:
    density = spread.get(layer.name, 1.0)
    count = round(density * tensor.size)
    scaled = replace(tensor, fan_density=scales.get(layer.name, 1.0))
    if exact:
        return replace(scaled, alive_count=count) if count < tensor.size else scaled
    return replace(scaled, alive_words=threshold(density))


def _predicate(include: Include) -> Callable[[str], bool]:
    if include is None:
        return lambda _name: True
    if callable(include):
        return include
    patterns = [include] if isinstance(include, str) or not isinstance(include, Iterable) else list(include)
    if not all(isinstance(each, str) for each in patterns):
        raise ArgumentError(f"include must be a function of names, or patterns of them, got {include!r}")
    return lambda name: any(fnmatchcase(name, pattern) for pattern in patterns)


def _fan_densities(fan_density: float | Mapping[str, float] | None, names: list[str]) -> dict[str, float]:
    if fan_density is None:
        return {}
    if isinstance(fan_density, Mapping):
        _check_names("fan_density", fan_density, names)
        return {name: _fan_density(value, f"fan_density of {name!r}") for name, value in fan_density.items()}
    return dict.fromkeys(names, _fan_density(fan_density, "fan_density"))


def _fan_density(density: float, what: str) -> float:
    if check_density(density, what) < MIN_FAN_DENSITY:
        raise ArgumentError(f"{what} must be at least 2^-31, got {density!r}")
    return float(density)


def _check_names(option: str, given: Iterable[str], names: list[str]) -> None:
    for name in given:
        if name not in names:
            raise ArgumentError(f"{option} names {name!r}, but the layers are: {', '.join(names)}")


def _check_patterns(option: str, patterns: Mapping[str, float], names: Iterable[str]) -> None:
    names = list(names)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ArgumentError(f"{option} names {pattern!r}, but the parameters are: {', '.join(names)}")


def _check_number(option: str, pattern: str, value: float) -> None:
    number = isinstance(value, numbers.Real) and math.isfinite(value)
    if option == "fan_in" and not (number and MIN_FAN_IN <= value <= MAX_FAN_IN):
        raise ArgumentError(f"fan_in of {pattern!r} must be in [2^-31, 2^31], got {value!r}")
    if not number or abs(value) > MAX_FIXED:
        raise ArgumentError(f"fixed value of {pattern!r} must be a float32 number, got {value!r}")


def _tidy(fan_in: float) -> float:
    """Whole numbers as int, so that a recipe reads and serialises the same on every path."""
    return int(fan_in) if float(fan_in).is_integer() else float(fan_in)


def layer_shapes(model: nn.Module) -> dict[str, Shape]:
    """The weight shape of every layer that a `Source` over `model` would search. Nothing is drawn: the model
    may be on torch's meta device.

    Raises what `Source` raises for a model that it cannot take.
    """
    check_plain(model)
    plan = make_plan(
        find_parameters(model),
        density=1.0,
        rule="uniform",
        exact=False,
        bias=False,
        fan_density=None,
        include=None,
        fan_in={},
        fixed={},
    )
    return {layer.name: layer.tensors[0].shape for layer in plan.layers if layer.searched}
