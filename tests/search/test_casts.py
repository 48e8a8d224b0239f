"""Searches whose model is moved or cast to another type: which mask it computes with, what is refused."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from builders import LayerNormMLP
from tombola import ArgumentError, EdgePopup, Source


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_a_model_of_another_type_can_be_detached(dtype: torch.dtype) -> None:
    model = LayerNormMLP()
    source = Source(model)
    EdgePopup(source)
    model.to(dtype)
    source.detach()
    assert model.fc1.weight.dtype == dtype
    assert int(torch.count_nonzero(model.fc1.weight)) == 144


def half_of_a_copy(model: nn.Module) -> nn.Module:
    return copy.deepcopy(model).half()


def half_after_loading(model: nn.Module) -> nn.Module:
    model.load_state_dict(model.state_dict())
    return model.half()


def half_after_a_step_of_the_optimiser(model: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.mul_(1.0)
    return model.half()


CASTS: list[Callable[[nn.Module], nn.Module]] = [
    nn.Module.bfloat16,
    nn.Module.half,
    half_of_a_copy,
    half_after_loading,
    half_after_a_step_of_the_optimiser,
    lambda model: model.cpu().half(),
    lambda model: model.float().bfloat16(),
    lambda model: model.half().double().bfloat16(),
    lambda model: copy.deepcopy(model.half()).cpu(),
]


@pytest.mark.parametrize("cast", CASTS)
@pytest.mark.parametrize("options", [{}, {"scope": "global"}, {"absolute": True}])
def test_a_model_of_another_type_computes_with_the_mask_it_had(
    cast: Callable[[nn.Module], nn.Module], options: dict[str, Any]
) -> None:
    search = EdgePopup(Source(nn.Linear(256, 256), density=0.8, bias=True), 0.3, **options)
    mask = {name: torch.tensor(kept) for name, kept in search.mask.items()}
    model: Any = cast(search.source.model)  # rounds scores to ties by the hundred
    for name, kept in mask.items():
        assert torch.equal(getattr(model, name).bool(), kept)
    model(torch.ones(1, 256, dtype=model.weight.dtype)).sum().backward()
    if model is search.source.model:
        with pytest.raises(ArgumentError, match="weight: scores must be float32"):
            search.step()
        search.source.detach()
        assert torch.equal(torch.as_tensor(model.weight).bool(), mask["weight"])


def loaded(model: nn.Module, other: nn.Module) -> nn.Module:
    model.load_state_dict(other.state_dict())
    return model


def loaded_and_copied(model: nn.Module, other: nn.Module) -> nn.Module:
    return copy.deepcopy(loaded(model, other))


def exchanged(model: nn.Module, other: nn.Module) -> nn.Module:
    model.load_state_dict(other.half().state_dict(), assign=True)
    return model


@pytest.mark.parametrize("change", [loaded, loaded_and_copied, exchanged])
def test_scores_written_to_after_a_cast_are_refused(
    change: Callable[[nn.Module, nn.Module], nn.Module],
) -> None:
    one, other = (EdgePopup(Source(nn.Linear(16, 16), seed=seed)).source.model for seed in (0, 1))
    with pytest.raises(ArgumentError, match="weight: scores must be float32"):
        change(one.half(), other)(torch.ones(1, 16).half())


@pytest.mark.parametrize("inside", [False, True])
def test_other_scores_of_a_cast_model_are_refused(inside: bool) -> None:
    model = EdgePopup(Source(nn.Linear(64, 64)), 0.3).source.model.bfloat16()
    given = {n: p.detach() for n, p in model.named_parameters() if n.endswith("scores")}

    def total(given: dict[str, torch.Tensor]) -> torch.Tensor:
        out: torch.Tensor = torch.func.functional_call(model, given, (torch.ones(1, 64).bfloat16(),))
        return out.sum()

    with pytest.raises(ArgumentError, match="weight: scores must be float32"):
        (torch.func.grad(total) if inside else total)(given)


def test_a_cast_model_stays_where_it_is_whatever_the_default_device() -> None:
    model: Any = EdgePopup(Source(nn.Linear(8, 8))).source.model.half()
    with torch.device("meta"):
        assert model.weight.device.type == "cpu"


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_a_model_that_only_moves_selects_nothing(scope: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential(*(nn.Linear(8, 8) for _ in range(5)))
    EdgePopup(Source(model), scope=scope)
    monkeypatch.setattr("tombola.search.select.find_limits", None)
    model.cpu().float().to("meta")


def test_a_model_of_another_type_and_back_keeps_as_many() -> None:
    model = nn.Linear(64, 128)
    search = EdgePopup(Source(model), 0.3)
    with torch.no_grad():
        search.scores["weight"].copy_(torch.linspace(0, 1, 64 * 128).view(128, 64))
    search.step()
    model.bfloat16().float()  # which makes ties of scores
    assert int(torch.count_nonzero(model.weight)) == round(0.3 * 64 * 128)
