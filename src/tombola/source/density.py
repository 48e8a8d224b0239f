r"""Layerwise density rules: (shapes, density) -> the density of every layer.

A rule spreads an overall density p over the layers such that Σ m_l p_l = p Σ m_l exactly, m_l the number
of weights of layer l (paper B, section 2, "Sparsity Ratios"). Three of the four say how the p_l are
to each other, p_l = x r_l with one scale x for all:

- `uniform`: r_l = 1.
- `erk`: r_l = (n_in + n_out) / (n_in n_out) for a linear layer, (c_l + c_{l-1} + k_l) / (c_l c_{l-1} k_l)
  for a convolution of k_l kernel positions: the Erdős–Rényi graph of Mocanu et al. 2018 whose layers have
  a number of weights in proportion to that of their neurons, m_l p_l ∝ n_in + n_out, with kernels as
  Evci et al. 2020 take them in.
- `balanced`: r_l = 1 / m_l, so that m_l p_l is the same in every layer.

**Redistribution.** Where x r_l > 1 the layer is kept whole, p_l = 1, and what it cannot hold goes to the
others by the same rule: their x is what spreads the rest over them. That x is never smaller than
the one before, for every layer kept whole takes less from the total than x r_l m_l would have; so a layer
once kept whole stays so, each round adds one at least, and there are at most as many rounds as layers.
With p <= 1 a layer can always hold what is left: Σ m_l p_l = p Σ m_l has been met when it ends.

- `pyramidal`: p_l = q^l for l = 1 … L in the order given, q in (0, 1] the root of Σ m_l q^l = p Σ m_l.
  The left side rises from 0 to Σ m_l on (0, 1], so there is one root, and no p_l exceeds 1.
"""

from __future__ import annotations

import math
import numbers
import sys
from collections.abc import Callable, Mapping
from functools import partial

from tombola.errors import ArgumentError, unknown

Shapes = Mapping[str, tuple[int, ...]]
Rule = Callable[[Shapes, float], Mapping[str, float]]
"""A rule of one's own: shapes and overall density -> p_l in [0, 1] of every layer, taken as they are."""
AnyRule = str | Rule | Mapping[str, float]


def uniform(shapes: Shapes, density: float) -> dict[str, float]:
    """p_l = p in every layer."""
    return dict.fromkeys(shapes, density)


def erk(shapes: Shapes, density: float) -> dict[str, float]:
    """p_l ∝ (n_in + n_out) / (n_in n_out), and ∝ (c_l + c_{l-1} + k_l) / (c_l c_{l-1} k_l) for a convolution
    (Mocanu et al. 2018; Evci et al. 2020). c_{l-1} is the number of input channels of a group.
    """
    return _spread(shapes, density, {name: _erk_ratio(shape) for name, shape in shapes.items()})


def balanced(shapes: Shapes, density: float) -> dict[str, float]:
    """p_l = x / m_l: the same expected number of weights in every layer (paper B)."""
    return _spread(shapes, density, {name: 1.0 / math.prod(shape) for name, shape in shapes.items()})


def pyramidal(shapes: Shapes, density: float) -> dict[str, float]:
    """p_l = q^l, l = 1 … L in the order of `shapes` (paper B)."""
    sizes = [math.prod(shape) for shape in shapes.values()]
    target = density * math.fsum(sizes)

    def kept(base: float) -> float:
        return math.fsum(size * base**layer for layer, size in enumerate(sizes, start=1))

    low, high = 0.0, 1.0
    while (middle := (low + high) / 2) not in (low, high):  # until no float lies between
        low, high = (middle, high) if kept(middle) < target else (low, middle)
    # Deep in a steep pyramid a power may be less than any float.
    least = sys.float_info.min
    return {name: max(high**layer, least) for layer, name in enumerate(shapes, start=1)}


RULES: dict[str, Callable[[Shapes, float], dict[str, float]]] = {
    "uniform": uniform,
    "erk": erk,
    "pyramidal": pyramidal,
    "balanced": balanced,
}


def densities(
    shapes: Shapes,
    density: float,
    rule: AnyRule = "uniform",
    *,
    dense_first: bool = False,
    dense_last: bool = False,
    dense_depthwise: bool = False,
) -> dict[str, float]:
    """The density p_l of every layer under `rule`, {name: p_l}, with Σ m_l p_l / Σ m_l = `density`.

    `shapes` maps names, in the network's order, to weight shapes: (out, in) of a linear layer, (out, in /
    groups, kernel …) of a 1-, 2- or 3-d convolution. `density` in (0, 1] is the fraction of all weights kept.
    `rule` is `uniform`, `erk`, `pyramidal`, `balanced`, or one's own: a function of (shapes, density), or a
    mapping, whose p_l in [0, 1] are taken as they are. `dense_first`, `dense_last` and `dense_depthwise`
    keep the first and the last layer, and convolutions of one input channel a group, whole (paper B keeps
    no layer apart; many sparse networks of others do); the rule then spreads what is left over the others.

    >>> densities({"fc1.weight": (4, 8), "fc2.weight": (2, 4)}, 0.5, "balanced")
    {'fc1.weight': 0.375, 'fc2.weight': 1.0}

    Raises ArgumentError for an unknown rule, no layers or one without weights, a density outside (0, 1]
    or below what the layers kept whole take by themselves, and for a rule of one's own that gives other
    layers or a density outside [0, 1].
    """
    check_density(density)
    if not shapes:
        raise ArgumentError(f"a density of {density} needs at least one layer, got none")
    for name, shape in shapes.items():
        if math.prod(shape) == 0:
            raise ArgumentError(f"layer {name!r} of shape {tuple(shape)} has no weights to give a density to")
    whole = _kept_whole(shapes, dense_first, dense_last, dense_depthwise)
    others = {name: tuple(shape) for name, shape in shapes.items() if name not in whole}
    spread = _apply(rule, others, _left_over(shapes, density, others)) if others else {}
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


def _spread(shapes: Shapes, density: float, ratios: Mapping[str, float]) -> dict[str, float]:
    """p_l = min(1, x r_l), x such that the overall density is met (see the module)."""
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    target = density * math.fsum(sizes.values())
    whole: set[str] = set()
    while free := [name for name in shapes if name not in whole]:
        left = target - math.fsum(sizes[name] for name in whole)
        scale = left / math.fsum(sizes[name] * ratios[name] for name in free)
        over = [name for name in free if scale * ratios[name] > 1.0]
        if not over:
            return {name: 1.0 if name in whole else scale * ratios[name] for name in shapes}
        whole.update(over)
    return dict.fromkeys(shapes, 1.0)


def _erk_ratio(shape: tuple[int, ...]) -> float:
    outputs, inputs = shape[0], shape[1] if len(shape) > 1 else 1
    positions = math.prod(shape[2:])
    neurons = outputs + inputs + (positions if len(shape) > 2 else 0)
    return neurons / (outputs * inputs * positions)


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
    left = (density * total - (total - free)) / free
    if left <= 0.0:
        raise ArgumentError(
            f"density {density:g} of {total} weights is {density * total:.0f}, but the layers kept dense "
            f"have {total - free} by themselves"
        )
    return min(left, 1.0)


def _apply(rule: AnyRule, shapes: Shapes, density: float) -> dict[str, float]:
    if isinstance(rule, str):
        if rule not in RULES:
            raise unknown("density rule", rule, RULES)
        return RULES[rule](shapes, density)
    given = rule if isinstance(rule, Mapping) else rule(shapes, density)
    if not isinstance(given, Mapping):
        raise ArgumentError(f"a density rule must give {{layer: density}}, got {type(given).__name__}")
    for name in [*given, *shapes]:
        if name not in shapes:
            raise ArgumentError(f"the density rule names {name!r}, but the layers are: {', '.join(shapes)}")
        if name not in given:
            raise ArgumentError(f"the density rule names no density for layer {name!r}")
        value = given[name]
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0.0 <= value <= 1.0:
            raise ArgumentError(f"the density rule gives layer {name!r} {value!r}: expected one in [0, 1]")
    return {name: float(given[name]) for name in shapes}


def rule_name(rule: AnyRule) -> str:
    """What to call a rule: its own name, or that of the function."""
    if isinstance(rule, str):
        return rule
    if isinstance(rule, partial):
        return rule_name(rule.keywords.get("rule", rule.func))
    return "custom" if isinstance(rule, Mapping) else getattr(rule, "__qualname__", type(rule).__name__)
