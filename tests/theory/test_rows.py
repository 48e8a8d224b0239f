"""Rows: subset sums over the live edges of carriers, one problem after the other, and of targets far off."""

from __future__ import annotations

import numpy as np
import pytest

from tombola.theory.carriers import Carriers
from tombola.theory.rows import Rows, choose, choose_many


def problems(seed: int, live: float = 0.6) -> tuple[Rows, Carriers]:
    """Three rows, two taps, over two inputs of two sides with twelve carriers each, some missing."""
    random = np.random.default_rng(seed)
    weights = random.uniform(-1, 1, (3, 60, 2)).astype(np.float32)
    biases = random.uniform(-1, 1, 3).astype(np.float32)
    members = random.permutation(60)[:48].reshape(4, 12)
    members[random.random(members.shape) < 0.1] = -1
    factors = random.uniform(0.5, 1, (4, 12)) * np.array([1, 1, -1, -1])[:, None]
    constants = np.setdiff1d(np.arange(60), members)[:8]
    rows = Rows(
        weights,
        random.random(weights.shape) < live,
        biases,
        random.random(3) < live,
        random.uniform(-0.7, 0.7, (3, 2, 2)),
        random.uniform(-0.7, 0.7, 3),
        0.02,
    )
    return rows, Carriers(members, factors, constants, random.uniform(0.25, 1, 8))


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("again", [False, True])
def test_what_is_kept_sums_to_the_target(seed: int, again: bool) -> None:
    rows, carriers = problems(seed)
    if again:
        group, row, tap = (each.reshape(-1) for each in np.indices((4, 3, 2)))
        failed = rows.solve_again(carriers, group, row, tap, 10).reshape(4, 3, 2)
    else:
        failed = rows.solve(carriers, range(4), 10)
    assert not (rows.kept & ~rows.alive).any()
    assert 0 < failed.sum() < failed.size / 2
    for g, r, t in np.ndindex(4, 3, 2):
        total, count = 0.0, 0
        for neuron, factor in zip(carriers.members[g], carriers.factors[g], strict=True):
            if neuron >= 0 and rows.kept[r, neuron, t]:
                total, count = total + float(rows.weights[r, neuron, t]) * factor, count + 1
        if failed[g, r, t]:
            assert count == 0
        else:
            assert abs(total - rows.targets[r, g % 2, t]) <= 0.02 + 1e-12
    assert not rows.kept[:, np.setdiff1d(np.arange(60), carriers.members)].any()


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("taps", [[0], [1], [0, 1], []])
def test_biases_are_sums_of_constants_at_the_taps_given(seed: int, taps: list[int]) -> None:
    rows, carriers = problems(seed)
    failed = rows.solve_biases(carriers, taps, 10)
    assert not (rows.kept & ~rows.alive).any() and not (rows.kept_biases & ~rows.biases_alive).any()
    for r in range(3):
        total = float(rows.biases[r]) * rows.kept_biases[r]
        for t in taps:
            for neuron, value in zip(carriers.constants, carriers.values, strict=True):
                total += float(rows.weights[r, neuron, t]) * value * rows.kept[r, neuron, t]
        assert failed[r] or abs(total - rows.target_biases[r]) <= 0.02 + 1e-12
        assert not failed[r] or not (rows.kept[r].any() or rows.kept_biases[r])
    elsewhere = rows.kept.copy()
    elsewhere[np.ix_(np.arange(3), carriers.constants, np.asarray(taps, dtype=np.int64))] = False
    assert not elsewhere.any()
    if taps == [0, 1]:  # some ten live candidates
        assert failed.sum() <= 1


def test_groups_can_be_solved_one_by_one() -> None:
    whole, carriers = problems(0)
    parts, _ = problems(0)
    failed = whole.solve(carriers, range(4), 10)
    assert np.array_equal(failed, np.concatenate([parts.solve(carriers, [g], 10) for g in range(4)]))
    assert np.array_equal(whole.kept, parts.kept)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, carriers = problems(1)
    failed = whole.solve(carriers, range(4), 10)
    monkeypatch.setattr("tombola.theory.rows._CHUNK", 7)
    parts, _ = problems(1)
    assert np.array_equal(failed, parts.solve(carriers, range(4), 10))
    assert np.array_equal(whole.kept, parts.kept)


def test_the_first_live_candidates_go_first_and_more_only_where_they_miss() -> None:
    values = np.array([[0.5, 9.0, 0.25, 0.125, 1.0]] * 2)
    alive = np.array([[True, False, True, True, True]] * 2)
    chosen, solved = choose(values, alive, np.array([0.75, 1.875]), 0.01, 2)
    assert solved.tolist() == [True, True]
    assert chosen.astype(int).tolist() == [[1, 0, 1, 0, 0], [1, 0, 1, 1, 1]]
    chosen, solved = choose(values, alive, np.array([9.0, 0.3]), 0.01, 2)
    assert not chosen.any() and not solved.any()


def test_no_live_value_at_all() -> None:
    values, dead = np.ones((2, 3)), np.zeros((2, 3), bool)
    for pick in (choose, choose_many):
        chosen, solved = pick(values, dead, np.array([0.005, 1.0]), 0.01, 2)
        assert solved.tolist() == [True, False] and not chosen.any()


@pytest.mark.parametrize("target", [-60.0, -9.0, -0.4, 0.0, 0.3, 5.0, 31.0, 60.0])
def test_targets_many_times_as_great_as_the_values(target: float) -> None:
    random = np.random.default_rng(0)
    values = random.uniform(-1, 1, (4, 300))
    alive = random.random((4, 300)) < 0.8
    chosen, solved = choose_many(values, alive, np.full(4, target), 1e-3, 16)
    reachable = np.where(alive & (values * target > 0), np.abs(values), 0).sum(axis=1)
    assert solved.tolist() == (reachable >= abs(target)).tolist()
    assert not (chosen & ~alive).any()
    sums = np.where(chosen, values, 0.0).sum(axis=1)
    assert (np.abs(sums - target)[solved] <= 1e-3 + 1e-12).all()
    assert not chosen[~solved].any()


def test_one_value_far_greater_than_the_others() -> None:
    # A bias of the layer itself among constants that a small gain has made small.
    random = np.random.default_rng(1)
    values = random.uniform(-1, 1, (8, 400)) * 0.01
    values[:, 0] = 0.9
    solved = choose_many(values, np.ones(values.shape, bool), random.uniform(0.1, 0.8, 8), 1e-4, 16)[1]
    assert solved.all()
