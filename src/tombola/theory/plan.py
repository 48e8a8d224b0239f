"""What a construction is asked for, layer by layer: gains, tolerances, candidates and widths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tombola.errors import ArgumentError
from tombola.mask import BoolArray
from tombola.theory.carriers import LEAST, LEAST_CONSTANT
from tombola.theory.target import TargetLayer

# Neurons in reserve, beside those that are expected to do.
_SPARE = 0.2
FEW = 8
# Targets stay this far below the greatest single candidates: sums that reach far out are rare.
_HEADROOM = 1.5
# Above this a gain is not finite in float32.
_GREATEST = float(np.finfo(np.float32).max)


# Below this a tolerance's inverse comes near the greatest that float64 holds.
_FINEST = 1e-300


class TooNarrowError(Exception):
    """A layer of the source has too few `neurons`: to be tried again, wider."""

    def __init__(self, why: str, neurons: int) -> None:
        super().__init__(f"{why}; {neurons} neurons")
        self.neurons = neurons


@dataclass(frozen=True)
class LayerPlan:
    """One layer of the target, in units of its `gain`: |weights| and |biases| over it are below 1."""

    layer: TargetLayer
    gain: float
    tolerance: float
    sides: int
    number: int = 0

    @property
    def candidates(self) -> int:
        """How many live edges a subset sum begins with: log2(1/η), for as many subsets as there are
        tolerances in the range, and some more, for they crowd about 0 (Lueker 1998: O(log 1/η)).
        """
        return min(26, max(10, math.ceil(min(64.0, -math.log2(self.tolerance))) + 8))

    def safe_taps(self) -> list[int]:
        """The taps at which a constant may be read: those that never meet padding."""
        moves = self.layer.convolution
        if moves is None or moves.padding == (0, 0):
            return list(range(self.layer.taps))
        return [] if self.layer.size is None else moves.inner_taps(self.layer.size)

    def check_biases(self, failed: BoolArray) -> None:
        """Raise ArgumentError where rows have failed for want of a tap at which to read a constant: their own
        random biases are all that they have, and stay the same in a wider source.
        """
        if failed.any() and not self.safe_taps():
            why = (
                "input_shape is not given, and its padding may be read at every tap"
                if self.layer.size is None
                else "each of its taps reads padding somewhere"
            )
            raise ArgumentError(
                f"layer {self.number}: a bias needs a constant input, but {why}; and a random bias by itself "
                "is not near enough"
            )

    def carriers(self, density: float) -> int:
        """Neurons for each group of edges that live with probability `density`: so many that two deviations
        below the mean there are still enough.
        """
        return math.ceil((self.candidates + 2 * math.sqrt(self.candidates * (1 - density))) / density)

    def constants(self, density: float) -> int:
        """Neurons that are constants, for the biases; none where there are none, or no tap to read them."""
        taps = len(self.safe_taps())
        if not self.layer.bias.any() or not taps:
            return 0
        # There is no retry for biases, and one row that fails costs a restart: a margin of four deviations.
        wanted = self.candidates + 8
        spread = 4 * math.sqrt(wanted * (1 - density))
        return math.ceil((wanted + spread) / (density * taps)) + 2

    def width(self, first: float, second: float, factor: float) -> int:
        """Neurons of a univariate layer with in-edges of density `first` and out-edges of density `second`,
        `factor` times what is expected to do.
        """
        groups = self.sides * self.layer.inputs
        # A neuron serves if any of its edges has the right sign and size.
        serves = 1 - (1 - first * (1 - LEAST) / 2 * self.sides) ** self.layer.inputs
        wanted = groups * self.carriers(second) / serves
        constants = self.constants(second) / (first * (1 - LEAST_CONSTANT) / 2)
        # The fewer edges live, the more neurons it takes to serve one row that has missed.
        return math.ceil(factor * (1 + _SPARE / math.sqrt(second)) * (wanted + constants)) + FEW


def plan_layers(
    target: Sequence[TargetLayer], tolerances: Sequence[float], nonnegative: bool
) -> list[LayerPlan]:
    """The plan of each layer, for tolerances in the target's units. `nonnegative`: no input is below 0.

    Raises ArgumentError for weights beyond what float32 holds, or a tolerance beyond all measure.
    """
    plans = []
    for number, (layer, tolerance) in enumerate(zip(target, tolerances, strict=True)):
        greatest = max(float(np.abs(layer.weight).max()), float(np.abs(layer.bias).max()))
        if _HEADROOM * greatest > _GREATEST:
            raise ArgumentError(
                f"layer {number}: its weights and biases must be below {_GREATEST / _HEADROOM:.3g} in "
                f"magnitude, got {greatest:g}"
            )
        gain = float(np.float32(_HEADROOM * greatest)) or 1.0
        if not tolerance / gain > _FINEST:
            raise ArgumentError(
                f"layer {number}: a tolerance of {tolerance:.3g} is beyond all measure beside weights and "
                f"biases of up to {greatest:.3g}"
            )
        sides = 1 if (target[number - 1].relu if number else nonnegative) else 2
        # A hair less: gain times the sum is rounded.
        plans.append(LayerPlan(layer, gain, tolerance / gain * (1 - 1e-9), sides, number))
    return plans
