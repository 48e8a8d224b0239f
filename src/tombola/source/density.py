"""Layerwise density rules: (shapes, density) -> the density of every layer.

A rule spreads an overall density p over the layers so that Σ m_l p_l = p Σ m_l, m_l the number of
weights of layer l (paper B, section 2, "Sparsity Ratios").
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Mapping

from tombola.errors import ArgumentError, unknown

Shapes = Mapping[str, tuple[int, ...]]


def uniform(shapes: Shapes, density: float) -> dict[str, float]:
    """p_l = p in every layer."""
    return dict.fromkeys(shapes, density)


RULES: dict[str, Callable[[Shapes, float], dict[str, float]]] = {"uniform": uniform}


def densities(shapes: Shapes, density: float, rule: str = "uniform") -> dict[str, float]:
    """The density of every layer under `rule`, {name: p_l}, each in (0, 1].

    `shapes` maps names to weight shapes, `density` in (0, 1] is the fraction of all weights kept.

    >>> densities({"fc1.weight": (4, 8), "fc2.weight": (2, 4)}, 0.5)
    {'fc1.weight': 0.5, 'fc2.weight': 0.5}

    Raises ArgumentError for an unknown rule, an empty `shapes` or a density outside (0, 1].
    """
    if rule not in RULES:
        raise unknown("density rule", rule, RULES)
    if not shapes:
        raise ArgumentError(f"a density of {density} needs at least one layer, got none")
    return RULES[rule](shapes, check_density(density))


def check_density(density: float, name: str = "density") -> float:
    """Return `density` as a float, or raise ArgumentError when it is not in (0, 1]."""
    if isinstance(density, bool) or not isinstance(density, numbers.Real) or not 0.0 < density <= 1.0:
        raise ArgumentError(f"{name} is the fraction of weights kept, in (0, 1], got {density!r}")
    return float(density)
