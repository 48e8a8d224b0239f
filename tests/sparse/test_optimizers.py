"""Optimizers: which optimisers are known, what is cleared, copied and set back, and when the hook goes."""

from __future__ import annotations

import copy
import gc
from typing import Any

import pytest
import torch
from sparse_helpers import make_source, train, update
from torch import nn
from torch.optim import SGD, Adam, Optimizer
from torch.optim.optimizer import _global_optimizer_post_hooks

from builders import CASES
from tombola.sparse import IMP, SET, RigL
from tombola.sparse.optimizers import Optimizers

pytestmark = pytest.mark.filterwarnings("ignore:layers left without a weight")


def pair() -> tuple[dict[str, nn.Parameter], Optimizers]:
    parameters = {name: nn.Parameter(torch.ones(4)) for name in ("a", "b")}
    return parameters, Optimizers(parameters)


def step(optimizer: Optimizer) -> None:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.ones_like(parameter)
    optimizer.step()


FIRST = torch.tensor([True, False, False, False])


def test_an_optimizer_is_known_from_its_first_step() -> None:
    parameters, optimizers = pair()
    optimizer = Adam(parameters.values())
    assert optimizers.states() == {}
    step(optimizer)
    optimizers.clear("a", FIRST)
    for key in ("exp_avg", "exp_avg_sq"):
        assert optimizer.state[parameters["a"]][key][0] == 0
        assert optimizer.state[parameters["a"]][key][1:].all()
        assert optimizer.state[parameters["b"]][key].all()


def test_one_that_trains_none_of_the_parameters_is_left_alone() -> None:
    _, optimizers = pair()
    other = nn.Parameter(torch.ones(4))
    stranger = SGD([other], lr=0.1, momentum=0.9)
    step(stranger)
    optimizers.clear("a", FIRST)
    optimizers.set({})
    assert stranger.state[other]["momentum_buffer"].all()
    assert optimizers.states() == {}


def test_several_optimizers_share_the_parameters() -> None:
    parameters, optimizers = pair()
    first, second = SGD([parameters["a"]], lr=0.1, momentum=0.9), Adam([parameters["b"]])
    step(first)
    step(second)
    optimizers.clear("a", FIRST)
    optimizers.clear("b", FIRST)
    assert first.state[parameters["a"]]["momentum_buffer"].tolist() == [0, 1, 1, 1]
    assert second.state[parameters["b"]]["exp_avg"][0] == 0
    copied = optimizers.states()
    assert set(copied["a"]) == {"momentum_buffer"}
    assert set(copied["b"]) == {"step", "exp_avg", "exp_avg_sq"}
    optimizers.set(copied)
    assert parameters["b"] not in first.state
    assert parameters["a"] not in second.state


def test_a_count_of_steps_is_no_memory_of_a_weight() -> None:
    scalar = {"a": nn.Parameter(torch.ones(()))}
    optimizers, optimizer = Optimizers(scalar), Adam(scalar.values())
    step(optimizer)
    optimizers.clear("a", torch.tensor(True))
    assert optimizer.state[scalar["a"]]["step"] == 1
    assert optimizer.state[scalar["a"]]["exp_avg"] == 0


@pytest.mark.parametrize("kind", [SGD, Adam, torch.optim.RMSprop, torch.optim.Adagrad, torch.optim.Rprop])
def test_what_is_copied_is_set_back_and_is_no_view(kind: Any) -> None:
    parameters, optimizers = pair()
    optimizer = kind(parameters.values(), lr=0.1, **({"momentum": 0.9} if kind is SGD else {}))
    step(optimizer)
    copied = optimizers.states()
    wanted = {name: {key: torch.as_tensor(v).clone() for key, v in s.items()} for name, s in copied.items()}
    step(optimizer)
    for _ in range(2):
        optimizers.set(copied)
        for name, parameter in parameters.items():
            state = optimizer.state[parameter]
            assert state.keys() == wanted[name].keys()
            assert all(torch.equal(torch.as_tensor(state[key]), wanted[name][key]) for key in state)
        step(optimizer)  # must not reach into the copy


def test_what_is_not_named_is_forgotten() -> None:
    parameters, optimizers = pair()
    optimizer = SGD(parameters.values(), lr=0.1, momentum=0.9)
    step(optimizer)
    optimizers.set({"b": optimizers.states()["b"]})
    assert list(optimizer.state) == [parameters["b"]]


def test_one_is_watched_before_it_steps() -> None:
    parameters, optimizers = pair()
    first = SGD(parameters.values(), lr=0.1, momentum=0.9)
    step(first)
    second = SGD(parameters.values(), lr=0.1, momentum=0.9)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    optimizers.clear("a", FIRST)
    assert second.state[parameters["a"]]["momentum_buffer"].all()  # unknown as yet
    optimizers.watch(second)
    optimizers.clear("a", FIRST)
    assert second.state[parameters["a"]]["momentum_buffer"].tolist() == [0, 1, 1, 1]


def test_the_hook_goes_with_the_object_and_holds_no_optimizer() -> None:
    gc.collect()
    before = len(_global_optimizer_post_hooks)
    parameters, optimizers = pair()
    optimizer = SGD(parameters.values(), lr=0.1, momentum=0.9)
    step(optimizer)
    assert len(_global_optimizer_post_hooks) == before + 1
    assert len(optimizers._known) == 1
    del optimizer
    gc.collect()
    assert len(optimizers._known) == 0
    del optimizers
    gc.collect()
    assert len(_global_optimizer_post_hooks) == before


@pytest.mark.parametrize("method", [RigL, SET])
def test_two_optimizers_may_train_one_network(method: Any) -> None:
    """One for the weights, one for the rest; and one of another network beside them."""
    training = method(make_source("conv"), 0.4, period=2)
    masked = [training.source.parameter(name) for name in training.masked]
    ids = {id(parameter) for parameter in masked}
    optimizer = SGD(masked, lr=0.1, momentum=0.9)
    others = Adam([p for p in training.parameters() if id(p) not in ids])
    for number in range(4):
        before = training.mask
        train(CASES["conv"], training, optimizer, range(number, number + 1))
        others.step()
        for name, kept in training.mask.items():
            stale = torch.from_numpy(~kept | ~before[name])
            assert not optimizer.state[training.source.parameter(name)]["momentum_buffer"][stale].any()


def test_an_optimizer_made_anew_in_each_round_is_known_too() -> None:
    imp = IMP(make_source("mlp"), 0.2, rounds=2, rewind_step=1, rewind="optimizer")
    made = []

    def run() -> None:
        optimizer = SGD(imp.parameters(), lr=0.1, momentum=0.9)
        for number in range(2):
            update(CASES["mlp"], imp, optimizer, number, prune=False)
        made.append(optimizer)

    imp.run(run)
    assert len(made) == 3
    for name, kept in imp.mask.items():
        parameter = imp.source.parameter(name)
        assert not made[-1].state[parameter]["momentum_buffer"][torch.from_numpy(~kept)].any()
