"""Rows: each weight of a target layer as a subset of the live edges from its input's carriers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tombola.mask import BoolArray
from tombola.source.init import FloatArray
from tombola.theory.carriers import Carriers, Ints
from tombola.theory.subset_sums import subset_sum
from tombola.theory.target import Floats

# So many subset sums are asked for at once.
_CHUNK = 1 << 17
# A subset sum of more candidates takes seconds for thousands of targets.
MOST = 30
_STEP = 5


@dataclass
class Rows:
    """A source layer of R rows over the carriers, and what has been kept of it so far.

    `weights` (R, width, taps) and `alive`; `biases` (R,) and `biases_alive`; in units of the target over its
    gain are `targets` (R, inputs, taps), `target_biases` (R,) and `tolerance`.
    """

    weights: FloatArray
    alive: BoolArray
    biases: FloatArray
    biases_alive: BoolArray
    targets: Floats
    target_biases: Floats
    tolerance: float

    def __post_init__(self) -> None:
        self.kept = np.zeros(self.weights.shape, bool)
        self.kept_biases = np.zeros(self.biases.shape, bool)

    def solve(self, carriers: Carriers, groups: Sequence[int], candidates: int) -> BoolArray:
        """Choose edges for all rows and taps of some groups; returns which failed, (groups, R, taps).

        Each subset sum gets its first `candidates` live edges, and more where these will not do.
        """
        failed = np.zeros((len(groups), len(self.weights), self.weights.shape[2]), bool)
        per_group = failed.shape[1] * failed.shape[2]
        size = max(1, _CHUNK // per_group)
        for start in range(0, len(groups), size):
            part = np.asarray(groups[start : start + size], dtype=np.int64)
            failed[start : start + size] = self._solve_part(carriers, part, candidates)
        return failed

    def solve_again(
        self, carriers: Carriers, groups: Ints, rows: Ints, taps: Ints, candidates: int
    ) -> BoolArray:
        """The same for single problems (group, row, tap); returns which failed."""
        members = carriers.members[groups]  # of which none has been kept
        values = self.weights[rows[:, None], members.clip(0), taps[:, None]] * carriers.factors[groups]
        alive = self.alive[rows[:, None], members.clip(0), taps[:, None]] & (members >= 0)
        targets = self.targets[rows, groups % self.targets.shape[1], taps]
        chosen, solved = choose(values, alive, targets, self.tolerance, candidates)
        problem, member = np.nonzero(chosen)
        self.kept[rows[problem], members[problem, member], taps[problem]] = True
        failed: BoolArray = ~solved
        return failed

    def solve_biases(self, carriers: Carriers, taps: Sequence[int], candidates: int) -> BoolArray:
        """Choose constants, read at some `taps`, and the rows' own biases; returns which rows failed."""
        count = len(self.weights)
        cells = np.ix_(np.arange(count), carriers.constants, np.asarray(taps, dtype=np.int64))
        shape = (count, len(carriers.constants) * len(taps))
        values = (self.weights[cells] * carriers.values[None, :, None]).reshape(shape)
        values = np.hstack([self.biases[:, None].astype(np.float64), values])
        alive = np.hstack([self.biases_alive[:, None], self.alive[cells].reshape(shape)])
        chosen, solved = choose_many(values, alive, self.target_biases, self.tolerance, candidates)
        self.kept_biases[:] = chosen[:, 0]
        self.kept[cells] = chosen[:, 1:].reshape(self.kept[cells].shape)
        failed: BoolArray = ~solved
        return failed

    def _solve_part(self, carriers: Carriers, groups: Ints, candidates: int) -> BoolArray:
        rows, taps = len(self.weights), self.weights.shape[2]
        members = carriers.members[groups]
        # (groups, rows, taps, members)
        values = np.moveaxis(self.weights[:, members.clip(0), :], (0, 1, 2, 3), (1, 0, 3, 2)).astype(
            np.float64
        )
        values *= carriers.factors[groups][:, None, None, :]
        alive = np.moveaxis(self.alive[:, members.clip(0), :], (0, 1, 2, 3), (1, 0, 3, 2))
        alive = alive & (members >= 0)[:, None, None, :]
        targets = np.moveaxis(self.targets[:, groups % self.targets.shape[1], :], 1, 0)
        width = members.shape[1]
        chosen, solved = choose(
            values.reshape(-1, width),
            alive.reshape(-1, width),
            targets.reshape(-1),
            self.tolerance,
            candidates,
        )
        group, row, tap, member = np.nonzero(chosen.reshape(len(groups), rows, taps, width))
        self.kept[row, members[group, member], tap] = True
        failed: BoolArray = ~solved.reshape(len(groups), rows, taps)
        return failed


def choose(
    values: Floats, alive: BoolArray, targets: Floats, tolerance: float, candidates: int
) -> tuple[BoolArray, BoolArray]:
    """The nearest subset of each target's first `candidates` live values, or of more where that misses.

    `values` and `alive` (N, K), `targets` (N,). Returns the members (N, K), none where no subset was near
    enough, and which targets were met.
    """
    chosen = np.zeros(values.shape, bool)
    solved = np.zeros(len(values), bool)
    for count in _counts(candidates, values.shape[1]):
        left = np.flatnonzero(~solved)
        if not len(left):
            break
        usable = alive[left] & (np.cumsum(alive[left], axis=1) <= count)
        columns = _packed(usable, count)
        found = subset_sum(
            targets[left],
            np.take_along_axis(values[left], columns, axis=1),
            tolerance,
            alive=np.take_along_axis(usable, columns, axis=1),
        )
        members = np.zeros(usable.shape, bool)
        np.put_along_axis(members, columns, found.mask, axis=1)
        chosen[left[found.solved]] = members[found.solved]
        solved[left[found.solved]] = True
    return chosen, solved


def choose_many(
    values: Floats, alive: BoolArray, targets: Floats, tolerance: float, candidates: int
) -> tuple[BoolArray, BoolArray]:
    """As `choose`, for targets that may be many times as great as the values: some of those of the target's
    sign, from the far end, bring it within reach of the first `candidates` live ones first.
    """
    place = np.cumsum(alive, axis=1)
    near = alive & (place <= candidates)
    # Half of what they come to at most, where the subsets are densest; but the greatest, which may be a bias
    # among constants that are all much smaller, fills no gaps.
    sizes = np.abs(np.where(near, values, 0.0))
    reach = (sizes.sum(axis=1) - sizes.max(axis=1)) / 4
    helping = np.where(alive & ~near & (values * np.sign(targets)[:, None] > 0), values, 0.0)
    total = np.cumsum(helping[:, ::-1], axis=1)[:, ::-1]
    excess = np.abs(targets) - reach
    taken = (helping != 0) & (np.abs(total) - np.abs(helping) < excess[:, None])
    left = targets - np.where(taken, values, 0.0).sum(axis=1)
    chosen, solved = choose(values, alive & ~taken, left, tolerance, candidates)
    return chosen | (taken & solved[:, None]), solved


def _counts(first: int, width: int) -> Iterator[int]:
    """How many candidates to try with: ever more, up to all that there are."""
    count = min(first, width, MOST)
    while True:
        yield count
        if count >= min(width, MOST):
            return
        count = min(count + _STEP, width, MOST)


def _packed(usable: BoolArray, count: int) -> Ints:
    """For each row the columns of its usable entries, then others, `count` of them."""
    order: Ints = np.argsort(~usable, axis=1, kind="stable")[:, :count]
    return order
