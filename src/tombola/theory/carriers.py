"""Carriers: source neurons that hold one input of a target layer each, or a constant.

A neuron all of whose in-edges but one are pruned is univariate, h = ReLU(a x_i): x_i times a for x_i of a's
sign, else 0 (Pensia et al. 2020; Burkholz 2022). One without in-edges, but with a positive bias, is a
constant (Burkholz 2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tombola.mask import BoolArray
from tombola.source.init import FloatArray
from tombola.theory.target import Floats

Ints = npt.NDArray[np.int64]

# Below this magnitude an in-weight makes candidates too small to be of use.
LEAST = 0.5
LEAST_CONSTANT = 0.25
# How often requests and neurons are paired at once, and how few requests are not worth it.
_SHIFTS = 200
_FEW = 16


@dataclass
class Carriers:
    """What a row of the next layer can draw on.

    `members`: int64 (groups, K), the neurons of each group, -1 where there is none; the groups are the
    inputs, once for each side (first those that carry positive values, then, where there are two sides,
    negative ones). `factors`: what each neuron multiplies its input by. `constants` and `values`: neurons
    that are constants, and these.
    """

    members: Ints
    factors: Floats
    constants: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    values: Floats = field(default_factory=lambda: np.zeros(0))

    def added(self, groups: Ints, neurons: Ints, factors: Floats) -> Carriers:
        """With one neuron more for each of some different `groups`."""
        column = np.full((len(self.members), 1), -1, np.int64)
        factor = np.zeros((len(self.members), 1))
        column[groups, 0], factor[groups, 0] = neurons, factors
        return Carriers(
            np.hstack([self.members, column]), np.hstack([self.factors, factor]), self.constants, self.values
        )


class Univariate:
    """The neurons of a first source layer, given to inputs as these ask for them.

    `weights` (H, inputs) and `alive`, `biases` (H,) and `biases_alive`. `sides` 2 where inputs may be
    negative.
    """

    def __init__(
        self, weights: FloatArray, alive: BoolArray, biases: FloatArray, biases_alive: BoolArray, sides: int
    ) -> None:
        self._weights, self._alive = weights, alive
        self._biases, self._biases_alive = biases, biases_alive
        self.sides = sides
        self._free = np.arange(len(weights))

    def take(self, each: int, constants: int) -> Carriers | None:
        """`each` carriers for every group, and so many constants; None where there are not enough neurons."""
        inputs = self._weights.shape[1]
        groups = np.tile(np.arange(self.sides * inputs), each)
        constant = self._take_constants(constants)
        neurons = self.match(groups)
        if len(constant) < constants or (neurons < 0).any():
            return None
        members = np.ascontiguousarray(neurons.reshape(each, -1).T)
        factors = self._factors(np.repeat(groups[: len(members), None], each, axis=1), members)
        return Carriers(members, factors, constant, self._biases[constant].astype(np.float64))

    def more(self, carriers: Carriers, groups: Sequence[int]) -> Carriers | None:
        """One carrier more for each of the groups; None where there is none for any of them."""
        wanted = np.asarray(groups, dtype=np.int64)
        neurons = self.match(wanted)
        found = neurons >= 0
        if not found.any():
            return None
        return carriers.added(wanted[found], neurons[found], self._factors(wanted[found], neurons[found]))

    def match(self, groups: Ints) -> Ints:
        """A free neuron for each request, with a live edge of the right sign and size; -1 where none is left.

        Requests and free neurons are laid side by side, again and again, shifted by one; the few that are
        then left are served one by one.
        """
        found = np.full(len(groups), -1, np.int64)
        unserved = np.arange(len(groups))
        for shift in range(_SHIFTS if len(groups) > _FEW else 0):
            count = min(len(unserved), len(self._free))
            places = (np.arange(count) + shift) % max(1, len(self._free))
            neurons = self._free[places]
            fits = self._fits(neurons, groups[unserved[:count]])
            found[unserved[:count][fits]] = neurons[fits]
            unserved = np.concatenate([unserved[count:], unserved[:count][~fits]])
            self._free = np.delete(self._free, places[fits])
            if len(unserved) <= _FEW:
                break
        for request in unserved.tolist():
            places = np.flatnonzero(self._fits(self._free, groups[request]))[:1]
            found[request : request + len(places)] = self._free[places]
            self._free = np.delete(self._free, places)
        return found

    def kept(self, carriers: Carriers, used: BoolArray) -> tuple[BoolArray, BoolArray]:
        """The masks of weights and biases that make the neurons in `used` (H,) carriers."""
        weights, biases = np.zeros(self._weights.shape, bool), np.zeros(self._biases.shape, bool)
        groups = np.broadcast_to(np.arange(len(carriers.members))[:, None], carriers.members.shape)
        wanted = (carriers.members >= 0) & used[carriers.members]
        weights[carriers.members[wanted], groups[wanted] % self._weights.shape[1]] = True
        biases[carriers.constants[used[carriers.constants]]] = True
        return weights, biases

    def _fits(self, neurons: Ints, groups: Ints | int) -> BoolArray:
        side, column = np.divmod(groups, self._weights.shape[1])
        value = self._weights[neurons, column] * np.where(np.asarray(side) == 0, 1.0, -1.0)
        fits: BoolArray = self._alive[neurons, column] & (value >= LEAST)
        return fits

    def take_alive_biases(self, count: int) -> Ints:
        """So many free neurons whose bias is alive, or all that there are."""
        chosen = self._free[self._biases_alive[self._free]][:count]
        self._free = self._free[~np.isin(self._free, chosen)]
        return chosen

    def _take_constants(self, count: int) -> Ints:
        fits = self._biases_alive[self._free] & (self._biases[self._free] >= LEAST_CONSTANT)
        chosen = self._free[fits][:count]
        self._free = self._free[~np.isin(self._free, chosen)]
        return chosen

    def _factors(self, groups: Ints, neurons: Ints) -> Floats:
        return np.asarray(self._weights[neurons, groups % self._weights.shape[1]], dtype=np.float64)
