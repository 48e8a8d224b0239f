"""Out of a model again: what `detach` leaves where a user has changed the model meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from builders import LayerNormMLP
from tombola import ArgumentError, EdgePopup, Source


def test_detaching_without_a_slot_that_was_taken_off() -> None:
    model: Any = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    source = EdgePopup(Source(model)).source
    parametrize.remove_parametrizations(model[1], "weight", leave_parametrized=False)
    source.detach()
    assert not source.attached
    assert type(model[0]) is type(model[1]) is nn.Linear
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_detaching_leaves_what_was_put_on_in_place_of_a_slot() -> None:
    model: Any = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    source = EdgePopup(Source(model)).source
    parametrize.remove_parametrizations(model[1], "weight", leave_parametrized=False)
    nn.utils.parametrizations.weight_norm(model[1])
    source.detach()
    assert type(model[0]) is nn.Linear
    assert len(model[1].parametrizations.weight) == 1
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_detaching_leaves_the_slots_of_another_source() -> None:
    model: Any = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    first = Source(model)
    for layer in model:
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    second = EdgePopup(Source(model, seed=1))
    before = second.ticket()
    first.detach()
    assert second.ticket() == before
    assert not model[0].parametrizations.weight.original.requires_grad


def test_a_diverged_search_can_be_detached_once_it_is_mended() -> None:
    model = LayerNormMLP()
    source = Source(model)
    search = EdgePopup(source)
    with torch.no_grad():
        search.scores["fc2.weight"].fill_(torch.nan)
    for tried in (search.step, source.detach, source.detach):
        with pytest.raises(ArgumentError, match="fc2.weight: scores must be finite numbers"):
            tried()
        assert source.attached
    with torch.no_grad():
        search.scores["fc2.weight"].zero_()
    source.detach()
    assert type(model.fc1) is type(model.fc2) is nn.Linear
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_parameters_exchanged_by_a_state_dict_are_trainable_again() -> None:
    model = LayerNormMLP()
    model.norm.weight.requires_grad_(False)
    source = Source(model)
    model.load_state_dict({n: v.clone() for n, v in model.state_dict().items()}, assign=True)
    source.detach()
    trainable = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    assert trainable == {name: name != "norm.weight" for name in trainable}
