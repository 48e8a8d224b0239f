r"""Layerwise density rules, the formulas: (shapes, density) -> the density of every layer.

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
import sys
from collections.abc import Callable, Mapping

Shapes = Mapping[str, tuple[int, ...]]


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
    outputs, inputs = (*shape, 1, 1)[:2]
    positions = math.prod(shape[2:])
    neurons = outputs + inputs + (positions if len(shape) > 2 else 0)
    return neurons / (outputs * inputs * positions)
