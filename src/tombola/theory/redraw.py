"""Two source layers for each layer of the target, of constant width: weights are redrawn until they fit.

Chijiwa et al. 2021 (paper A), theorem 4.1 and its proof: one neuron for each input and sign, of weight a
redrawn until it is great enough, and then each u redrawn, while it is pruned, until u a is within the
tolerance η of its target: with probability η / 2|a| or more a draw, so R = O(log(1/δ) / η) redraws do. In an
Erdős–Rényi source there are as many neurons for each input as it takes for one of their edges to be alive.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from tombola.mask import BoolArray
from tombola.source.density import AnyRule
from tombola.source.recipe import RandomTensor
from tombola.theory.attempt import Attempt, density_at, settle_blocks
from tombola.theory.carriers import Ints, Univariate
from tombola.theory.plan import LayerPlan, TooNarrowError
from tombola.theory.target import Floats

# Of all problems together, how likely one is to have no live edge.
_RISK = 1e-3
_LEAST = 0.1
# At a tolerance of 0.001 of the greatest weight it takes a hundredth of them.
GENERATIONS = 1 << 20
_AT_ONCE = 1 << 17
_SPARE = 1.05

Accept = Callable[[Floats, Ints], BoolArray]
"""(values, which of the entries asked for they are) -> whether they will do."""


class _Alive(Univariate):
    """Neurons given to inputs by live edges alone: their weights are redrawn anyway."""

    def _fits(self, neurons: Ints, groups: Ints | int) -> BoolArray:
        return np.asarray(self._alive[neurons, np.asarray(groups) % self._weights.shape[1]])


def redraw(plans: Sequence[LayerPlan], seed: int, density: float, rule: AnyRule, factor: float) -> Attempt:
    """The target with a layer of univariate neurons before each of its layers, every weight in the generation
    that it takes.

    Raises TooNarrowError where widths of `factor` times the expected ones will not do.
    """

    def width(plan: LayerPlan, first: float, second: float) -> int:
        return _width(plan, first, second, factor)

    attempt, places = settle_blocks(plans, width, seed, density, rule)
    for plan, place in zip(plans, places, strict=True):
        _Block(attempt, plan, place).build()
    return attempt


def _each(plan: LayerPlan, density: float) -> int:
    """Neurons for each input and sign: one, and more where edges may be dead."""
    if density == 1.0:
        return 1
    problems = plan.sides * plan.layer.weight.size + plan.layer.outputs
    return math.ceil(math.log(_RISK / problems) / math.log1p(-density))


def _width(plan: LayerPlan, first: float, second: float, factor: float) -> int:
    groups, each = plan.sides * plan.layer.inputs, _each(plan, second)
    constants = each / first if plan.layer.bias.any() else 0
    serves = 1 - (1 - first) ** plan.layer.inputs
    spare = _SPARE if first < 1 else 1.0
    return math.ceil(factor * spare * (groups * each / serves + constants))


class _Block:
    """The univariate module at `place` and the affine one two further on, for one layer of the target."""

    def __init__(self, attempt: Attempt, plan: LayerPlan, place: int) -> None:
        self._attempt, self._plan, self._place = attempt, plan, place
        self._targets = plan.layer.weight / plan.gain
        self._offsets = plan.layer.bias / plan.gain
        tensors = {tensor.name: tensor for tensor in attempt.recipe.tensors}
        self._first, self._bias = tensors[f"{place}.weight"], tensors[f"{place}.bias"]
        self._second, self._own = tensors[f"{place + 2}.weight"], tensors[f"{place + 2}.bias"]
        self._kept = {name: np.zeros(tensors[name].size, bool) for name in self._names()}
        self._generations = {name: np.zeros(tensors[name].size, np.int32) for name in self._names()}
        self._alive = attempt.weight(place + 2)[1]

    def build(self) -> None:
        """Choose neurons and edges, and find the generation of each. Raises TooNarrowError."""
        plan, density = self._plan, density_at(self._attempt, self._place + 2)
        values, alive = self._attempt.weight(self._place)
        bias, bias_alive = self._attempt.bias(self._place)
        neurons = _Alive(values[:, :, 0], alive[:, :, 0], bias, bias_alive, plan.sides)
        each = _each(plan, density)
        self._biases(neurons, each)
        groups = np.tile(np.arange(plan.sides * plan.layer.inputs), each)
        members = neurons.match(groups).reshape(each, -1).T
        if (members < 0).any():
            raise TooNarrowError("some input has too few neurons", len(values))
        self._weights(members)
        for name, kept in self._kept.items():
            shape = next(t.shape for t in self._attempt.recipe.tensors if t.name == name)
            self._attempt.masks[name] = kept.reshape(shape)
            self._attempt.generations[name] = self._generations[name].reshape(shape)

    def _weights(self, members: Ints) -> None:
        """In- and out-edges of the univariate neurons, `members` (groups, each)."""
        inputs, taps = self._plan.layer.inputs, self._plan.layer.taps
        column = np.arange(len(members)) % inputs
        sign = np.where(np.arange(len(members)) < inputs, 1.0, -1.0)
        # Great enough that every target is within reach.
        least = np.maximum(np.abs(self._targets).max(axis=(0, 2)), _LEAST)[column]
        spread = [np.repeat(values, members.shape[1]) for values in (column, sign, least)]
        cells = members.reshape(-1) * inputs + spread[0]
        factors = self._draw(self._first, cells, lambda v, which: v * spread[1][which] >= spread[2][which])
        factors = factors.reshape(members.shape)
        wanted = np.moveaxis(self._targets[:, column, :], 1, 0)  # (groups, rows, taps)
        group, row, tap = np.nonzero(np.abs(wanted) > self._plan.tolerance)
        edge = self._alive[row[:, None], members[group], tap[:, None]]
        self._edges(row, members[group], tap, edge, factors[group], wanted[group, row, tap], taps)

    def _biases(self, neurons: Univariate, each: int) -> None:
        """The rows' own biases, redrawn like any weight; those of rows whose own is dead from constants."""
        rows = np.flatnonzero(np.abs(self._offsets) > self._plan.tolerance)
        own = self._attempt.bias(self._place + 2)[1][rows]
        near, tolerance = self._offsets[rows[own]], self._plan.tolerance
        self._draw(self._own, rows[own], lambda v, which: np.abs(v - near[which]) <= tolerance)
        dead = np.isin(np.arange(len(self._offsets)), rows[~own])
        self._plan.check_biases(dead)
        if dead.any():
            self._constants(neurons, each, rows[~own])

    def _constants(self, neurons: Univariate, each: int, rows: Ints) -> None:
        """Biases redrawn until they are constants great enough, and their edges to some rows."""
        free = neurons.take_alive_biases(each)
        if len(free) < each:
            raise TooNarrowError("too few neurons have a bias to be a constant", self._alive.shape[1])
        least = max(float(np.abs(self._offsets).max()), _LEAST)
        values = self._draw(self._bias, free, lambda v, _: v >= least)
        taps = np.full(len(rows), self._plan.safe_taps()[0])
        members = np.broadcast_to(free, (len(rows), each))
        factors = np.broadcast_to(values, members.shape)
        edge = self._alive[rows[:, None], members, taps[:, None]]
        self._edges(rows, members, taps, edge, factors, self._offsets[rows], self._plan.layer.taps)

    def _edges(
        self,
        row: Ints,
        members: Ints,
        tap: Ints,
        alive: BoolArray,
        factors: Floats,
        targets: Floats,
        taps: int,
    ) -> None:
        """The first live edge of each problem, redrawn until u times the factor is near the target."""
        if not alive.any(axis=1).all():
            raise TooNarrowError("some weight has no live edge to any of its neurons", self._alive.shape[1])
        first, every = alive.argmax(axis=1), np.arange(len(row))
        factor = factors[every, first]
        cells = (row * self._alive.shape[1] + members[every, first]) * taps + tap
        tolerance = self._plan.tolerance
        self._draw(
            self._second, cells, lambda v, which: np.abs(v * factor[which] - targets[which]) <= tolerance
        )

    def _draw(self, tensor: RandomTensor, cells: Ints, accept: Accept) -> Floats:
        """Keep these entries of a tensor, each in the first generation whose value is accepted."""
        values, left, generation = np.zeros(len(cells)), np.arange(len(cells)), 0
        while len(left) and generation < GENERATIONS:
            # Ever more generations at once, as far as few weights are left that need them.
            count = max(1, min(_AT_ONCE // len(left), generation + 1, GENERATIONS - generation))
            which = np.repeat(left, count)
            rounds = np.tile(np.arange(generation, generation + count), len(left))
            drawn = self._attempt.recipe.values(tensor, cells[which], rounds).astype(np.float64)
            good = accept(drawn, which).reshape(len(left), count)
            found, first = good.any(axis=1), good.argmax(axis=1)
            values[left[found]] = drawn.reshape(good.shape)[found, first[found]]
            self._generations[tensor.name][cells[left[found]]] = generation + first[found]
            left, generation = left[~found], generation + count
        if len(left):
            raise TooNarrowError(
                f"{len(left)} weights find no value in {GENERATIONS} generations", self._alive.shape[1]
            )
        self._kept[tensor.name][cells] = True
        return values

    def _names(self) -> list[str]:
        return [f"{place}.{kind}" for place in (self._place, self._place + 2) for kind in ("weight", "bias")]
