"""Carriers: each neuron serves once, with a live edge of the right sign and size."""

from __future__ import annotations

import numpy as np
import pytest

from tombola.theory.carriers import LEAST, LEAST_CONSTANT, Carriers, Univariate


def univariate(seed: int, neurons: int = 200, inputs: int = 3, sides: int = 2) -> Univariate:
    random = np.random.default_rng(seed)
    shape = (neurons, inputs)
    weights = random.uniform(-1, 1, shape).astype(np.float32)
    biases = random.uniform(-1, 1, neurons).astype(np.float32)
    return Univariate(weights, random.random(shape) < 0.6, biases, random.random(neurons) < 0.6, sides)


def edges(
    seed: int, neurons: int = 200, inputs: int = 3
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The same network once more."""
    random = np.random.default_rng(seed)
    shape = (neurons, inputs)
    weights = random.uniform(-1, 1, shape).astype(np.float32)
    biases = random.uniform(-1, 1, neurons).astype(np.float32)
    return weights, random.random(shape) < 0.6, biases, random.random(neurons) < 0.6


def check(carriers: Carriers, seed: int, inputs: int = 3) -> None:
    weights, alive, biases, biases_alive = edges(seed, inputs=inputs)
    for group, members in enumerate(carriers.members):
        side, column = divmod(group, inputs)
        for neuron, factor in zip(members, carriers.factors[group], strict=True):
            if neuron >= 0:
                assert alive[neuron, column] and factor == weights[neuron, column]
                assert abs(factor) >= LEAST and (factor > 0) == (side == 0)
    assert biases_alive[carriers.constants].all()
    assert (carriers.values == biases[carriers.constants]).all()
    assert (carriers.values >= LEAST_CONSTANT).all()
    taken = [*carriers.members[carriers.members >= 0].tolist(), *carriers.constants.tolist()]
    assert len(set(taken)) == len(taken)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("sides", [1, 2])
def test_neurons_serve_once_and_fit(seed: int, sides: int) -> None:
    source = univariate(seed, sides=sides)
    carriers = source.take(6, 5)
    assert carriers is not None
    assert carriers.members.shape == (3 * sides, 6) and (carriers.members >= 0).all()
    assert len(carriers.constants) == 5
    check(carriers, seed)
    wider = source.more(carriers, [0, 3 * sides - 1])
    assert wider is not None
    assert (wider.members[:, -1] >= 0).tolist() == [True] + [False] * (3 * sides - 2) + [True]
    assert np.array_equal(wider.members[:, :-1], carriers.members)
    check(wider, seed)


def test_a_network_that_runs_out() -> None:
    assert univariate(0).take(100, 0) is None
    assert univariate(0).take(1, 200) is None
    source = univariate(0)
    carriers = source.take(2, 2)
    assert carriers is not None
    while (wider := source.more(carriers, range(6))) is not None:
        carriers = wider
        check(carriers, 0)
    # Every neuron that is left fits nowhere.
    weights, alive, _, _ = edges(0)
    left = np.setdiff1d(np.arange(200), [*carriers.members[carriers.members >= 0], *carriers.constants])
    assert not (alive & (np.abs(weights) >= LEAST))[left].any()


def test_requests_that_nothing_can_serve_take_nothing() -> None:
    shape = (10, 2)
    weights = np.full(shape, 0.9, np.float32)
    source = Univariate(weights, np.ones(shape, bool), np.zeros(10, np.float32), np.ones(10, bool), 2)
    assert source.match(np.array([2, 3])).tolist() == [-1, -1]
    assert sorted(source.match(np.array([0, 1] * 6)).tolist()) == [-1, -1, *range(10)]


@pytest.mark.parametrize("few", [0, 16])
def test_pairing_at_once_serves_as_many(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tombola.theory.carriers._FEW", few)
    carriers = univariate(3).take(8, 3)
    assert carriers is not None and (carriers.members >= 0).all()
    check(carriers, 3)


def test_masks_make_the_used_neurons_carriers_alone() -> None:
    source = univariate(1)
    carriers = source.take(4, 3)
    assert carriers is not None
    carriers = source.more(carriers, [1]) or carriers
    used = np.zeros(200, bool)
    used[[carriers.members[0, 0], carriers.members[5, 3], carriers.constants[1]]] = True
    used[np.setdiff1d(np.arange(200), [*carriers.members.ravel(), *carriers.constants])[:2]] = True
    used[199] |= bool(199 in carriers.members)  # -1 is no neuron
    weights, biases = source.kept(carriers, used)
    expected = {(int(carriers.members[0, 0]), 0), (int(carriers.members[5, 3]), 2)}
    found = {(int(neuron), int(column)) for neuron, column in zip(*np.nonzero(weights), strict=True)}
    assert expected <= found
    assert found - expected <= {(199, column) for column in range(3)}
    assert np.flatnonzero(biases).tolist() == [int(carriers.constants[1])]
