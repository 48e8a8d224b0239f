"""Densities of layers: a rule of `rules.py` or of one's own, layers kept dense, and every check."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from tombola.errors import ArgumentError, unknown
from tombola.source.rules import RULES, Shapes

Rule = Callable[[Shapes, float], Mapping[str, float]]
"""A rule of one's own: shapes and overall density -> p_l in [0, 1] of every layer, taken as they are."""
AnyRule = str | Rule | Mapping[str, float]

# What is left of a sum of products, beside that sum, when it ought to be 0.
_ROUNDING = 1e-9


def densities(
    shapes: Shapes,
    density: float,
    rule: AnyRule = "uniform",
    *,
    dense_first: bool = False,
    dense_last: bool = False,
    dense_depthwise: bool = False,
) -> dict[str, float]:
    """The density p_l of every layer under `rule`, {name: p_l}; under a rule of the library
    Σ m_l p_l / Σ m_l = `density`.

    `shapes` maps names, in the network's order, to weight shapes: (out, in) of a linear layer, (out, in /
    groups, kernel …) of a 1-, 2- or 3-d convolution. `density` in (0, 1] is the fraction of all weights kept.
    `rule` is `uniform`, `erk`, `pyramidal`, `balanced`, or one's own: a function of (shapes, density), or a
    mapping, whose p_l in [0, 1] are taken as they are, whatever they come to. `dense_first`, `dense_last` and
    `dense_depthwise` keep the first and the last layer, and kernels over one input channel (depthwise
    convolutions have such; the first layer is not taken for one), whole (paper B keeps no layer apart; many
    sparse networks of others do); the rule then spreads what is left over the others.

    >>> densities({"fc1.weight": (4, 8), "fc2.weight": (2, 4)}, 0.5, "balanced")
    {'fc1.weight': 0.375, 'fc2.weight': 1.0}

    Raises ArgumentError for an unknown rule, no layers or one without weights, a density outside (0, 1]
    or below what the layers kept whole take by themselves, and for a rule of one's own that gives other
    layers or a density outside [0, 1].
    """
    density, shapes = check_density(density), _checked(shapes)
    _check_rule(rule)
    if not shapes:
        raise ArgumentError(f"a density of {density} needs at least one layer, got none")
    whole = _kept_whole(shapes, dense_first, dense_last, dense_depthwise)
    others = {name: shape for name, shape in shapes.items() if name not in whole}
    if isinstance(rule, Mapping):
        spread = _own({name: value for name, value in rule.items() if name not in whole}, others)
    else:
        left = _left_over(shapes, density, others)
        spread = _apply(rule, others, left) if others else {}
    return {name: spread.get(name, 1.0) for name in shapes}


def check_density(density: float, name: str = "density") -> float:
    """Return `density` as a float, or raise ArgumentError when it is not in (0, 1]."""
    if isinstance(density, bool) or not isinstance(density, numbers.Real) or not 0.0 < density <= 1.0:
        raise ArgumentError(f"{name} is the fraction of weights kept, in (0, 1], got {density!r}")
    return float(density)


def overall(shapes: Shapes, layer_densities: Mapping[str, float]) -> float:
    """Σ m_l p_l / Σ m_l."""
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    return math.fsum(sizes[name] * layer_densities[name] for name in sizes) / math.fsum(sizes.values())


def meets(shapes: Shapes, layer_densities: Mapping[str, float], density: float) -> bool:
    """Whether the densities come to `density` over all, but for rounding."""
    return abs(overall(shapes, layer_densities) - density) <= _ROUNDING


def rule_name(rule: AnyRule) -> str:
    """What to call a rule: its own name, or that of the function."""
    if isinstance(rule, str):
        return rule
    if isinstance(rule, partial):
        return rule_name(rule.keywords.get("rule", rule.func))
    return "custom" if isinstance(rule, Mapping) else getattr(rule, "__qualname__", type(rule).__name__)


def _check_rule(rule: AnyRule) -> None:
    if isinstance(rule, str) and rule not in RULES:
        raise unknown("density rule", rule, RULES)
    if not isinstance(rule, (str, Mapping)) and not callable(rule):
        raise ArgumentError(
            f"a density rule is a name ({', '.join(RULES)}), a function or a mapping, got {rule!r}"
        )


def _checked(shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """The shapes as tuples of Python's integers, which do not overflow."""
    if not isinstance(shapes, Mapping):
        raise ArgumentError(f"shapes must be {{layer: shape}}, got {type(shapes).__name__}")
    checked = {}
    for name, shape in shapes.items():
        sizes = tuple(shape) if isinstance(shape, Iterable) else (shape,)
        if not isinstance(shape, Iterable) or not all(isinstance(size, numbers.Integral) for size in sizes):
            raise ArgumentError(f"the shape of layer {name!r} must be whole numbers, got {shape!r}")
        if min(sizes, default=1) <= 0:
            raise ArgumentError(f"layer {name!r} of shape {sizes} has no weights to give a density to")
        checked[name] = tuple(int(size) for size in sizes)
    return checked


def _kept_whole(shapes: Shapes, first: bool, last: bool, depthwise: bool) -> set[str]:
    names = list(shapes)
    whole = set(names[:1] if first else []) | set(names[-1:] if last else [])
    if depthwise:
        # A first layer of one channel reads a grey image; it is no depthwise convolution.
        whole |= {name for name in names[1:] if len(shapes[name]) > 2 and shapes[name][1] == 1}
    return whole


def _left_over(shapes: Shapes, density: float, others: Shapes) -> float:
    """The density that is left for `others` when all other layers are kept whole."""
    if len(others) == len(shapes):
        return density
    total = sum(math.prod(shape) for shape in shapes.values())
    free = sum(math.prod(shape) for shape in others.values())
    left = density * total - (total - free)
    # Rounding must not turn what is exactly used up into a layer of a billionth.
    if (free and left <= _ROUNDING * total) or (not free and density < 1.0):
        raise ArgumentError(
            f"density {density:g} of {total} weights is {density * total:.0f}, but the layers kept dense "
            f"have {total - free} by themselves"
        )
    return min(left / free, 1.0) if free else 1.0


def _apply(rule: str | Rule, shapes: Shapes, density: float) -> dict[str, float]:
    if isinstance(rule, str):
        return RULES[rule](shapes, density)
    return _own(rule(shapes, density), shapes)


def _own(given: object, shapes: Shapes) -> dict[str, float]:
    """What a rule of one's own gives, checked."""
    if not isinstance(given, Mapping):
        raise ArgumentError(f"a density rule must give {{layer: density}}, got {type(given).__name__}")
    for name in [*given, *shapes]:
        if name not in shapes:
            raise ArgumentError(f"the density rule names {name!r}, but the layers are: {', '.join(shapes)}")
        if name not in given:
            raise ArgumentError(f"the density rule names no density for layer {name!r}")
        value: object = given[name]
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0.0 <= float(value) <= 1.0:
            raise ArgumentError(f"the density rule gives layer {name!r} {value!r}: expected one in [0, 1]")
    return {name: float(given[name]) for name in shapes}
