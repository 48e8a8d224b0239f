"""RigL and SET: which weights are dropped and grown, when, how many, and by which gradients."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from sparse_helpers import is_plus_zero, loss_on, make_source, sgd, train
from torch import nn

from builders import CASES
from tombola import ArgumentError, Source
from tombola.sparse import SET, RigL, SparseTraining

every_method = pytest.mark.parametrize("method", [SET, RigL])


def line(weights: list[float], kept: list[int], **options: Any) -> tuple[Source, dict[str, torch.Tensor]]:
    """A layer of one output with these weights, and the mask that keeps some."""
    source = Source(nn.Linear(len(weights), 1, bias=False), **options)
    mask = torch.zeros(1, len(weights), dtype=torch.bool)
    mask[0, kept] = True
    return source, {"weight": mask}


def place(training: SparseTraining, weights: list[float], mask: dict[str, torch.Tensor]) -> None:
    """Set mask and weights by hand."""
    training.set_mask(mask)
    with torch.no_grad():
        training.source.parameter("weight").copy_(torch.tensor([weights]) * mask["weight"])


def backward(training: SparseTraining, gradient: list[float]) -> None:
    """One backward pass that gives this gradient: the output is weight · gradient."""
    training.source.model(torch.tensor([gradient])).sum().backward()


def kept(training: SparseTraining) -> list[int]:
    return np.flatnonzero(training.mask["weight"]).tolist()


WEIGHTS = [0.1, -4.0, 3.0, -0.2, 9.0, 9.0, 9.0, 9.0]
KEPT = [0, 1, 2, 3]


def test_rigl_drops_the_smallest_and_grows_where_the_gradient_is_greatest() -> None:
    source, mask = line(WEIGHTS, KEPT)
    training = RigL(source, 0.5, fraction=0.5, period=1, end=None)
    place(training, WEIGHTS, mask)
    # 0 and 3 go; of 0, 3 and those never kept, 6 and 5 have the greatest gradients (1 and 2 are kept).
    backward(training, [1.0, 50.0, 60.0, 2.0, -3.0, -8.0, 9.0, 4.0])
    training.step()
    assert kept(training) == [1, 2, 5, 6]
    assert source.in_use("weight").tolist() == [[0, -4, 3, 0, 0, 0, 0, 0]]


def test_a_weight_just_dropped_may_come_back_and_is_then_untouched() -> None:
    source, mask = line(WEIGHTS, KEPT)
    training = RigL(source, 0.5, fraction=0.5, period=1, end=None)
    place(training, WEIGHTS, mask)
    optimizer = torch.optim.SGD(training.parameters(), lr=0.0, momentum=0.9)
    backward(training, [1.0, 0.0, 0.0, 20.0, -3.0, -8.0, 9.0, 4.0])
    optimizer.step()
    training.step()
    assert kept(training) == [1, 2, 3, 6]
    weight = source.parameter("weight")
    assert weight[0, 3] == torch.tensor(-0.2)
    assert optimizer.state[weight]["momentum_buffer"].tolist() == [[0, 0, 0, 20, 0, 0, 0, 0]]


def test_rigl_counts_the_kept_by_layer() -> None:
    source = Source(nn.Sequential(nn.Linear(10, 4, bias=False), nn.Linear(4, 5, bias=False)))
    training = RigL(source, {"0.weight": 0.5, "1.weight": 0.25}, fraction=0.3, period=1, end=None)
    before = training.mask
    source.model(torch.randn(3, 10)).square().sum().backward()
    training.step()
    for name, count in (("0.weight", 20), ("1.weight", 5)):
        assert training.mask[name].sum() == before[name].sum() == count
        # round(0.3 · 20) = 6, round(0.3 · 5) = 2 (to even); what comes back is not seen.
        assert (training.mask[name] & ~before[name]).sum() <= round(0.3 * count)


def test_rigl_shares_a_layer_between_weight_and_bias() -> None:
    source = Source(nn.Linear(3, 1), bias=True)
    training = RigL(source, 0.5, fraction=0.5, period=1, end=None)
    training.set_mask({"weight": torch.tensor([[True, True, False]]), "bias": torch.tensor([False])})
    with torch.no_grad():
        source.parameter("weight").copy_(torch.tensor([[3.0, 0.5, 0.0]]))
    source.model(torch.tensor([[0.0, 0.1, 0.2]])).sum().backward()  # the bias's gradient is 1
    training.step()
    assert training.mask["weight"].tolist() == [[True, False, False]]
    assert training.mask["bias"].tolist() == [True]


@every_method
def test_growth_stays_in_the_source(method: Any) -> None:
    alive = [[True, True, True, True, False, False, True, False]]
    source = Source(nn.Linear(8, 1, bias=False), mask={"weight": alive})
    training = method(source, 0.5, fraction=0.5, period=1, end=None)
    place(training, WEIGHTS, {"weight": torch.tensor([[True, True, True, True, *[False] * 4]])})
    backward(training, [0.1, 0.0, 0.0, 0.2, 100.0, 100.0, 1.0, 100.0])
    training.step()
    assert {1, 2} < set(kept(training)) <= {0, 1, 2, 3, 6}
    if method is RigL:
        assert kept(training) == [1, 2, 3, 6]


def test_set_drops_the_smallest_and_grows_at_random() -> None:
    grown = set()
    for seed in range(6):
        source, mask = line(WEIGHTS, KEPT, seed=seed)
        training = SET(source, 0.5, fraction=0.5, period=1)
        place(training, WEIGHTS, mask)
        training.step()
        assert {1, 2} < set(kept(training))
        assert len(kept(training)) == 4
        new = [index for index in kept(training) if index not in KEPT]
        assert not source.parameter("weight")[0, new].any()
        grown.add(tuple(kept(training)))
    assert len(grown) > 2


def test_set_grows_by_the_seed_and_the_round_alone() -> None:
    def after(seed: int, rounds: int) -> list[list[int]]:
        torch.manual_seed(seed + rounds)
        source, mask = line([1.0] * 40, [*range(20)], seed=seed)
        training, found = SET(source, 0.5, fraction=0.5, period=2), []
        for _ in range(rounds):
            place(training, [1.0] * 40, mask)  # the same start in every round
            training.step()
            assert kept(training) == [*range(20)]  # between updates nothing happens
            training.step()
            found.append(kept(training))
        return found

    first = after(1, 3)
    assert first == after(1, 3)
    assert len({tuple(places) for places in first}) == 3
    assert first[0] != after(2, 1)[0]


@every_method
@pytest.mark.parametrize(("fraction", "end"), [(0.3, 10), (0.5, 7), (0.9, 100)])
def test_the_fraction_falls_along_half_a_cosine(method: Any, fraction: float, end: int) -> None:
    training = method(make_source("mlp"), 0.5, fraction=fraction, end=end)
    for step in range(end + 3):
        wanted = fraction / 2 * (1 + math.cos(step * math.pi / end)) if step < end else 0.0
        assert training.drop_fraction(step) == pytest.approx(wanted, abs=1e-15)
    assert training.drop_fraction(0) == fraction
    assert method(make_source("mlp"), 0.5, fraction=fraction, end=None).drop_fraction(999) == fraction


@pytest.mark.parametrize(("period", "end", "updates"), [(2, 6, [2, 4]), (3, 7, [3, 6]), (4, None, [4, 8])])
def test_updates_come_each_period_and_stop_before_the_end(
    period: int, end: int | None, updates: list[int]
) -> None:
    source, _ = line([1.0] * 100, [])
    training = SET(source, 0.5, fraction=0.9, period=period, end=end)
    changed = []
    for step in range(1, 11):
        before = training.mask
        training.step()
        if training.mask != before:
            changed.append(step)
            dropped = int((before["weight"] & ~training.mask["weight"]).sum())
            assert 0 < dropped <= round(training.drop_fraction(step) * 50)
    assert changed == updates


def gradients(source: Source, step: int) -> dict[str, torch.Tensor]:
    """∂L/∂(W ⊙ M) on the batch of a step, worked out on a plain model that holds the masked weights."""
    plain = CASES["mlp"].build()
    state = {name: source.in_use(name).detach() for name in source.names}
    state |= {fixed.name: source.parameter(fixed.name).detach() for fixed in source.recipe.fixed}
    plain.load_state_dict(state)
    loss_on(CASES["mlp"], step)(plain).backward()  # type: ignore[no-untyped-call]
    found = {name: plain.get_parameter(name).grad for name in source.names}
    return {name: gradient for name, gradient in found.items() if gradient is not None}


@pytest.mark.parametrize("accumulate", [1, 2, 3, 4])
@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize("options", ["dense", "er"])
def test_the_gradient_is_summed_over_the_last_steps_before_an_update(
    accumulate: int, passes: int, options: str
) -> None:
    source = make_source("mlp", options)
    training = RigL(source, 0.3, fraction=0.5, period=4, end=9, accumulate=accumulate)
    optimizer = sgd(training)
    for period in range(2):
        sums = {name: torch.zeros(shape) for name, shape in source.shapes.items()}
        for since in range(4):
            optimizer.zero_grad()
            for number in range(passes):
                step = 8 * period + 2 * since + number
                if since >= 4 - accumulate:
                    sums = {name: sums[name] + g for name, g in gradients(source, step).items()}
                loss_on(CASES["mlp"], step)(source.model).backward()  # type: ignore[no-untyped-call]
            with torch.no_grad():
                loss_on(CASES["mlp"], 77)(source.model)  # looking on must not count
            optimizer.step()
            for name, wanted in sums.items():
                torch.testing.assert_close(training.masked[name].gradient(), wanted)
            before = training.mask
            training.step()
        assert training.mask != before
        for name, kept_now in training.mask.items():
            grown = torch.from_numpy(kept_now & ~before[name])
            never = torch.from_numpy(~kept_now & ~before[name] & source.mask[name])
            assert sums[name].abs()[grown].min() >= sums[name].abs()[never].max()
    # There will be no update any more, so nothing is summed.
    assert all(masked.probe is None for masked in training.masked.values())


def test_summing_changes_neither_weights_nor_gradients() -> None:
    runs = []
    for accumulate in (1, 4):
        training = RigL(make_source("conv", "er"), 0.3, period=4, end=None, accumulate=accumulate)
        optimizer = sgd(training)
        train(CASES["conv"], training, optimizer, range(2))
        assert all((masked.probe is not None) == (accumulate == 4) for masked in training.masked.values())
        train(CASES["conv"], training, optimizer, range(2, 3))
        runs.append(training.weights())
    assert all(runs[0][name].tobytes() == runs[1][name].tobytes() for name in runs[0])


@every_method
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"density": 0.0}, r"density is the fraction of weights kept, in \(0, 1\], got 0.0"),
        ({"density": 0.7}, "density 0.7 is above the source's density 0.6"),
        ({"density": {"fc1.weight": 0.5}}, "density names no value for layer 'fc2.weight'"),
        ({"fraction": 0.0}, r"fraction must be in \(0, 1\), got 0.0"),
        ({"fraction": 1.0}, r"fraction must be in \(0, 1\), got 1.0"),
        ({"fraction": math.nan}, r"fraction must be in \(0, 1\), got nan"),
        ({"fraction": True}, r"fraction must be in \(0, 1\), got True"),
        ({"fraction": "0.3"}, r"fraction must be in \(0, 1\), got '0.3'"),
        ({"period": 0}, "period is a whole number of at least 1, got 0"),
        ({"period": 2.0}, "period is a whole number of at least 1, got 2.0"),
        ({"period": None}, "period is a whole number of at least 1, got None"),
        ({"end": 0}, "end is a whole number of at least 1, got 0"),
        ({"end": "never"}, "end is a whole number of at least 1, got 'never'"),
        ({"rule": "eerk"}, "unknown density rule 'eerk': did you mean 'erk'"),
    ],
)
def test_options_out_of_range_are_refused(method: Any, options: dict[str, Any], message: str) -> None:
    source = make_source("mlp", "er")
    with pytest.raises(ArgumentError, match=message):
        method(source, **{"density": 0.3, **options})
    assert all(source.slot(name).masking is None for name in source.names)


@pytest.mark.parametrize(
    ("accumulate", "message"),
    [
        (0, "accumulate is a whole number of at least 1"),
        (4, "accumulate must be at most the period, 3"),
    ],
)
def test_sums_of_other_lengths_are_refused(accumulate: int, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        RigL(make_source("mlp"), 0.3, period=3, accumulate=accumulate)


def test_a_gradient_that_is_no_number_costs_the_update() -> None:
    source, mask = line(WEIGHTS, KEPT)
    training = RigL(source, 0.5, fraction=0.5, period=1)
    place(training, WEIGHTS, mask)
    backward(training, [math.nan] * 8)
    training.step()
    assert kept(training) == KEPT


def test_weights_that_are_no_numbers_are_refused() -> None:
    source, mask = line(WEIGHTS, KEPT)
    training = RigL(source, 0.5, fraction=0.5, period=1)
    place(training, [math.nan] * 8, mask)
    backward(training, [1.0] * 8)
    with pytest.raises(ArgumentError, match="the weights, or gradients, of 'weight' must be numbers"):
        training.step()
    assert kept(training) == KEPT


def test_a_grown_weight_starts_from_nothing_whatever_was_written_there() -> None:
    source, mask = line(WEIGHTS, KEPT)
    training = RigL(source, 0.5, fraction=0.5, period=1, end=None)
    place(training, WEIGHTS, mask)
    optimizer = torch.optim.SGD(training.parameters(), lr=0.0, momentum=0.9)
    backward(training, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 9.0, 4.0])
    optimizer.step()
    weight = source.parameter("weight")
    with torch.no_grad():  # a user's own writing, or an optimiser that mixes the weights
        weight[0, 4:] = -5.0
        optimizer.state[weight]["momentum_buffer"][0, 4:] = 5.0
    with torch.no_grad():  # where no zeros are added to sum gradients in
        assert is_plus_zero(source.in_use("weight"), ~mask["weight"])
    training.step()
    assert kept(training) == [1, 2, 6, 7]
    assert source.in_use("weight").tolist() == [[0, -4, 3, 0, 0, 0, 0, 0]]
    assert not optimizer.state[weight]["momentum_buffer"].any()


def test_a_state_is_no_window_into_the_sums() -> None:
    training = RigL(make_source("mlp"), 0.3, period=4, accumulate=4)
    optimizer = sgd(training)
    train(CASES["mlp"], training, optimizer, range(1))
    state = training.state_dict()
    before = copy.deepcopy(state["own"])
    assert any(sums.any() for sums in before.values())
    train(CASES["mlp"], training, optimizer, range(1, 3))
    assert all(torch.equal(state["own"][name], sums) for name, sums in before.items())
