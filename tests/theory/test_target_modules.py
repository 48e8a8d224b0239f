"""Modules of a target that are of a known class, but compute something else than it does, are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tombola import EdgePopup, Source
from tombola.errors import ArgumentError
from tombola.theory.target import read_target


class Twice(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x)


class Wide(nn.Conv2d):
    def _conv_forward(self, *arguments: Any) -> torch.Tensor:
        return torch.as_tensor(2 * super()._conv_forward(*arguments))


class Shifted(nn.ReLU):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + 1


class Residual(nn.Sequential):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class Named(nn.Linear):
    """A subclass that computes what its base does."""


def replaced() -> nn.Linear:
    linear = nn.Linear(2, 2)
    vars(linear)["forward"] = torch.relu
    return linear


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (nn.Sequential(Twice(2, 2)), "layer 0 of the target is Twice, a Linear with its own forward"),
        (nn.Sequential(Wide(1, 1, 1)), "layer 0 of the target is Wide, a Conv2d with its own _conv_forward"),
        (nn.Sequential(nn.Linear(2, 2), Shifted()), "layer 1 of the target is Shifted, a ReLU with its own"),
        (Residual(nn.Linear(2, 2)), "the target is Residual, a Sequential with its own forward"),
        (nn.Sequential(replaced()), "layer 0 of the target is Linear, a Linear with its own forward"),
    ],
)
def test_layers_that_compute_something_else_are_refused(target: Any, message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        read_target(target)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("place", ["the target", "layer 0 of the target", "layer 1 of the target"])
@pytest.mark.parametrize("before", [False, True])
def test_hooks_are_refused(place: str, before: bool) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    module = {"the target": model, "layer 0 of the target": model[0]}.get(place, model[1])
    if before:
        handle = module.register_forward_pre_hook(lambda _, inputs: (2 * inputs[0],))
    else:
        handle = module.register_forward_hook(lambda _, inputs, output: 2 * output)
    with pytest.raises(ArgumentError, match=f"{place} has forward hooks"):
        read_target(model)
    handle.remove()
    assert len(read_target(model)) == 1


def test_parametrized_layers_and_plain_subclasses_are_read() -> None:
    weights = [Named(3, 2), nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))]
    layers = read_target(nn.Sequential(weights[0], nn.ReLU(), weights[1]))
    for layer, module in zip(layers, weights, strict=True):
        assert np.array_equal(layer.weight[:, :, 0], module.weight.detach().double().numpy())


def test_a_layer_under_a_source_is_read_with_the_weights_in_use() -> None:
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    search = EdgePopup(Source(model, init="uniform"), 0.5)
    for layer, name in zip(read_target(model), ("0.weight", "2.weight"), strict=True):
        assert np.array_equal(layer.weight[:, :, 0] != 0, search.mask[name])
