"""Saved states that do not fit: nothing is changed by one, and what is saved is the caller's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tombola import ArgumentError, Source
from tombola.sparse import IMP, RigL, Static


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(12, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 5))


def source(model: nn.Module) -> Source:
    return Source(model, 3, "kaiming_normal")


def start(state: Any) -> Any:
    return state["own"]["start"]


def plain(state: Any) -> Any:
    """The same without tensors, to be compared."""
    if isinstance(state, dict):
        return {key: plain(value) for key, value in state.items()}
    return (state.dtype, state.tolist()) if isinstance(state, torch.Tensor) else state


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: s.update(own={}), "the saved training does not say its round"),
        (lambda s: s.update(own={"round": 0}), "the saved training does not say its start"),
        (
            lambda s: s["mask"].update({"0.weight": s["mask"]["0.weight"].float()}),
            r"mask '0.weight' must be booleans of shape \(16, 12\), got torch.float32",
        ),
        (
            lambda s: s["weights"].update({"0.bias": torch.zeros(3)}),
            r"the saved training has weights of shape \(3,\) for '0.bias', this one \(16,\)",
        ),
        (
            lambda s: s["weights"].update({"3.bias": torch.zeros(5, device="meta")}),
            "the saved training has no plain values as weights for '3.bias'",
        ),
        (
            lambda s: s["weights"].update({"3.bias": torch.zeros(5).to_sparse()}),
            "the saved training has no plain values as weights for '3.bias'",
        ),
        (lambda s: s["own"].update(round=9), "has round = 9, this one the rounds 0 to 6"),
        (lambda s: s["own"].update(round=-1), "has round = -1, this one the rounds 0 to 6"),
        (lambda s: s["own"].update(round="1"), "has round = '1', this one the rounds 0 to 6"),
        (lambda s: s["own"].update(round=True), "has round = True, this one the rounds 0 to 6"),
        (lambda s: s["own"].update(start=3), "the saved training's start must be a Mapping, got a int"),
        (lambda s: s["own"].update(start=None), "the saved training's start must be a Mapping, got a None"),
        (lambda s: s["own"].update(start={}), "the saved training's start holds no 'weights'"),
        (lambda s: start(s).pop("buffers"), "the saved training's start holds no 'buffers'"),
        (
            lambda s: start(s)["weights"].update({"0.bias": torch.zeros(3)}),
            r"training's start has weights of shape \(3,\) for '0.bias', this one \(16,\)",
        ),
        (
            lambda s: start(s)["buffers"].pop("1.running_mean"),
            "the saved training's start has no buffers for '1.running_mean'",
        ),
        (lambda s: start(s).pop("optimizer"), "optimizer is to remember must be a Mapping, got a NoneType"),
        (
            lambda s: start(s)["optimizer"].update({"0.weight": 3}),
            "optimizer is to remember of '0.weight' must be a Mapping, got a int",
        ),
        (
            lambda s: start(s)["optimizer"].update({"9.weight": {}}),
            "optimizer is to remember of '9.weight': no parameter that is trained; those are 0.weight",
        ),
    ],
)
def test_a_state_that_cannot_be_changes_nothing(spoil: Any, message: str) -> None:
    imp = IMP(source(network()), 0.3, rewind="optimizer")
    before, state = imp.state_dict(), imp.state_dict()
    state["weights"]["0.weight"] = torch.zeros_like(state["weights"]["0.weight"])
    spoil(state)
    with pytest.raises(ArgumentError, match=message):
        imp.load_state_dict(state)
    assert plain(imp.state_dict()) == plain(before)
    imp.next_round()  # for which it still has all that it rewinds to
    assert imp.round == 1
    assert imp.mask.density == pytest.approx(0.8, abs=0.01)


def test_a_round_that_no_start_is_known_for() -> None:
    imp = IMP(source(network()), 0.3, rewind_step=2)
    state = imp.state_dict()
    imp.load_state_dict(state)  # it has not come to the step yet
    assert state["own"]["start"] is None
    for spoilt in ({"steps": 2}, {"own": {"round": 1, "start": None}}):
        with pytest.raises(ArgumentError, match="the saved training's start must be a Mapping, got a None"):
            imp.load_state_dict(state | spoilt)


def test_a_saved_state_is_the_callers_own() -> None:
    """Before and after it is loaded: what is done to it later changes no training."""
    imp, twin = IMP(source(network()), 0.3), IMP(source(network()), 0.3)
    state = imp.state_dict()
    twin.load_state_dict(state)
    for weights in start(state)["weights"].values():
        weights.zero_()
    for each in (imp, twin):
        each.next_round()
        assert each.weights()["0.weight"].any()


def test_a_round_may_be_any_integer() -> None:
    imp = IMP(source(network()), 0.3)
    state = imp.state_dict()
    state["own"]["round"] = np.int64(2)
    imp.load_state_dict(state)
    assert type(imp.round) is int
    assert imp.round == 2


class Caching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(12, 5)
        self.register_buffer("cache", torch.ones(4), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.fc(x)
        return logits


def test_a_cache_that_is_no_tensor_stays_as_it_is() -> None:
    model = Caching()
    static = Static(source(model), 0.5)
    state = static.state_dict()
    state["buffers"]["cache"] = None
    static.load_state_dict(state)
    assert model.get_buffer("cache").tolist() == [1.0] * 4


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda own: own.update({"0.weight": None}),
            "gradients for '0.weight' in the saved training must be a Tensor, got a NoneType",
        ),
        (
            lambda own: own.update({"0.weight": torch.zeros(2)}),
            r"gradients of shape \(2,\) for '0.weight', this one \(16, 12\)",
        ),
        (
            lambda own: own.update({"0.weight": torch.zeros(16, 12, dtype=torch.int64)}),
            "the saved training has gradients of torch.int64 for '0.weight'",
        ),
        (lambda own: own.pop("3.weight"), "the saved training has no gradients for '3.weight'"),
        (lambda own: own.clear(), "the saved training has no gradients for '0.weight'"),
    ],
)
def test_gradients_that_cannot_be_change_nothing(spoil: Any, message: str) -> None:
    rigl = RigL(source(network()), 0.3, period=2, accumulate=2)
    before, state = rigl.state_dict(), rigl.state_dict()
    state["weights"]["0.weight"] = torch.zeros_like(state["weights"]["0.weight"])
    spoil(state["own"])
    with pytest.raises(ArgumentError, match=message):
        rigl.load_state_dict(state)
    assert plain(rigl.state_dict()) == plain(before)
