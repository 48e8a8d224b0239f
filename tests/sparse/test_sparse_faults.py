"""Where training goes wrong around a method: overflows, casts, copies, frozen layers, foreign masks."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tombola import ArgumentError, Source
from tombola.sparse import SET, Gradual, RigL, SparseTraining, Static, synflow


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 5))


def source(model: nn.Module, **options: Any) -> Source:
    return Source(model, **{"seed": 3, "init": "kaiming_normal", **options})


def batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(step)
    return torch.randn(8, 12, generator=generator), torch.randint(5, (8,), generator=generator)


def backward(model: nn.Module, step: int, factor: float = 1.0) -> None:
    x, y = batch(step)
    dtype = next(model.parameters()).dtype
    (F.cross_entropy(model(x.to(dtype)), y) * factor).backward()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("factor", [float("inf"), float("nan")])
def test_an_overflow_costs_an_update_and_no_more(factor: float) -> None:
    """Mixed precision scales losses until gradients overflow, and then leaves out the step."""
    model = network()
    rigl = RigL(source(model), 0.3, period=1, fraction=0.5)
    optimizer = torch.optim.SGD(rigl.parameters(), lr=0.1, momentum=0.9)
    before = rigl.mask
    backward(model, 0, factor)
    optimizer.zero_grad()
    rigl.step()
    assert rigl.mask == before
    backward(model, 1)
    optimizer.step()
    rigl.step()
    assert rigl.mask != before


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_gradients_are_summed_on_where_the_model_is_cast(dtype: torch.dtype) -> None:
    model = network()
    rigl = RigL(source(model), 0.3, period=3, accumulate=3)
    backward(model, 0)
    rigl.step()
    first = {name: masked.gradient().clone() for name, masked in rigl.masked.items()}
    model.to(dtype)
    backward(model, 1)
    for name, masked in rigl.masked.items():
        assert masked.gradient().dtype == dtype
        assert not torch.equal(masked.gradient().float(), first[name])
    plain = network()
    twin = RigL(source(plain), 0.3, period=3, accumulate=3)
    for step in range(2):
        backward(plain, step)
        twin.step()
    for name, masked in twin.masked.items():
        tolerance = 1e-5 if dtype == torch.float64 else 0.05
        assert torch.allclose(rigl.masked[name].gradient().float(), masked.gradient(), atol=tolerance)


def test_a_mask_of_a_tensor_that_takes_no_part_changes_nothing() -> None:
    static = Static(source(network(), include="0.*"), 0.5)
    before = static.mask
    mask = {"0.weight": ~static.masked["0.weight"].mask, "2.weight": torch.ones(5, 16, dtype=torch.bool)}
    with pytest.raises(ArgumentError, match="mask '2.weight': no tensor that takes part; those are 0.weight"):
        static.set_mask(mask)
    assert static.mask == before


SHAPE = r"mask '2.weight' must be booleans of shape \(5, 16\), got torch"
OTHER_MASKS = [
    ({"2.weight": torch.ones(5, 16, dtype=torch.int64)}, SHAPE),
    ({"2.weight": torch.ones(16, dtype=torch.bool)}, SHAPE),
    (
        {"2.weight": np.ones((5, 16), bool)},
        "mask '2.weight' must be a Tensor, got a ndarray: torch.from_numpy",
    ),
    ({"2.weight": None}, "mask '2.weight' must be a Tensor, got a NoneType"),
    ({"2.bias": torch.ones(5, dtype=torch.bool)}, "mask '2.bias': no tensor that takes part"),
]


@pytest.mark.parametrize(("other", "message"), OTHER_MASKS)
def test_a_mask_of_another_kind_changes_nothing(other: Any, message: str) -> None:
    static = Static(source(network()), 0.5)
    before = static.mask
    with pytest.raises(ArgumentError, match=message):
        static.set_mask({"0.weight": ~static.masked["0.weight"].mask, **other})
    assert static.mask == before


@pytest.mark.parametrize(("other", "message"), OTHER_MASKS)
def test_a_first_mask_of_another_kind_leaves_the_source_free(other: Any, message: str) -> None:
    made = source(network())
    whole = {"0.weight": torch.ones(16, 12, dtype=torch.bool)}
    with pytest.raises(ArgumentError, match=message):
        SparseTraining(made, whole | other)
    with pytest.raises(ArgumentError, match="mask must be a Mapping, got a list"):
        SparseTraining(made, [whole])  # type: ignore[arg-type]
    assert not any(parameter.requires_grad for parameter in made.model.parameters())
    SparseTraining(made, whole)


def test_a_step_that_was_refused_does_not_count() -> None:
    gradual = Gradual(source(network()), 0.5, end=2, period=1)
    weight = gradual.source.parameter("0.weight")
    with torch.no_grad():
        first = weight[0, 0].clone()
        weight[0, 0] = torch.nan
        with pytest.raises(ArgumentError, match="0.weight"):
            gradual.step()
        assert (gradual.steps, gradual.density) == (0, 1.0)
        weight[0, 0] = first
    gradual.step()
    assert gradual.steps == 1
    assert gradual.mask.density == pytest.approx(gradual.density, abs=0.01) != 1.0


def test_another_default_type_changes_nothing() -> None:
    model = network()
    made = source(model)
    torch.set_default_dtype(torch.float64)
    try:
        RigL(made, 0.3, period=1)
        backward(model, 0)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("kind", [RigL, SET])
def test_a_layer_that_was_frozen_keeps_its_weights(kind: Any) -> None:
    model = network()
    model[0].weight.requires_grad_(False)  # type: ignore[index]
    training = kind(source(model), 0.5, period=2)
    optimizer = torch.optim.SGD(training.parameters(), lr=0.1, momentum=0.9)
    before = {name: w.copy() for name, w in training.weights().items()}
    moving = training.mask["2.weight"]
    for step in range(10):
        optimizer.zero_grad()
        backward(model, step)
        optimizer.step()
        training.step()
    assert (training.weights()["0.weight"] == before["0.weight"]).all()
    assert (training.mask["2.weight"] != moving).any()


def test_a_copy_notices_its_own_optimizer() -> None:
    model = network()
    original = RigL(source(model), 0.3, period=1, fraction=0.5)
    twin = copy.deepcopy(original)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9)
    for step in range(4):
        optimizer.zero_grad()
        backward(twin.source.model, step)
        optimizer.step()
        twin.step()
        for name, masked in twin.masked.items():
            momentum = optimizer.state[twin.source.parameter(name)]["momentum_buffer"]
            assert not momentum[~masked.mask].any()


def test_rprop_goes_on_with_weights_that_are_grown() -> None:
    """A step size of 0 would never grow again."""
    model = network()
    rigl = RigL(source(model), 0.3, period=1, fraction=0.5)
    optimizer = torch.optim.Rprop(rigl.parameters(), lr=0.01)
    for step in range(4):
        optimizer.zero_grad()
        backward(model, step)
        optimizer.step()
        rigl.step()
    for name in rigl.masked:
        assert (optimizer.state[rigl.source.parameter(name)]["step_size"] > 0).all()


def test_no_mask_changes_once_detached() -> None:
    model = network()
    training = Static(source(model), 0.5)
    mask = {name: torch.zeros_like(masked.mask) for name, masked in training.masked.items()}
    training.source.detach()
    with pytest.raises(ArgumentError, match="cannot change the mask: the source was detached"):
        training.set_mask(mask)
    assert model[0].weight.any()  # type: ignore[index]


class Casting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.fc(x.float())
        return logits


def test_synflow_says_what_it_needs() -> None:
    with pytest.raises(ArgumentError, match="synflow needs a model that computes in float64"):
        synflow(source(Casting()), 0.5, lambda model: model(batch(0)[0]).sum())


@torch.no_grad()
def test_scores_need_no_gradients_to_be_on() -> None:
    x, y = batch(0)
    synflow(source(network()), 0.5, lambda model: F.cross_entropy(model(x), y))
