"""Source: what it draws into which modules, and what it leaves behind."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import tombola
from builders import AttentionBlock, LayerNormMLP, TiedLanguageModel, conv_batch_norm, grouped_conv
from tombola import ArgumentError, Source, TombolaError


def scale(module: nn.Module, attribute: str = "weight") -> float:
    """|weight| of a signed-constant source: √(2 / fan-in), so it tells the fan-in."""
    Source(module)
    values = getattr(module, attribute).detach().abs()
    assert torch.equal(values, values.flatten()[0].expand(values.shape))
    return float(values.flatten()[0])


@pytest.mark.parametrize(
    ("module", "attribute", "fan_in"),
    [
        (nn.Linear(7, 3), "weight", 7),
        (nn.Bilinear(3, 4, 2), "weight", 12),
        (nn.Conv1d(4, 6, 5), "weight", 20),
        (nn.Conv2d(4, 6, (3, 2)), "weight", 24),
        (nn.Conv2d(4, 6, 3, groups=2), "weight", 18),
        (nn.Conv2d(4, 4, 3, groups=4), "weight", 9),
        (nn.Conv3d(2, 3, 3), "weight", 54),
        # Transposed: out-channels / groups × kernel ÷ stride positions, at least 1.
        (nn.ConvTranspose1d(4, 6, 5), "weight", 30),
        (nn.ConvTranspose2d(4, 6, 4, stride=2), "weight", 24),
        (nn.ConvTranspose2d(4, 6, 4, stride=2, groups=2), "weight", 12),
        (nn.ConvTranspose2d(4, 1, 1, stride=2), "weight", 1),
        (nn.Embedding(9, 4), "weight", 1),
        (nn.EmbeddingBag(9, 4), "weight", 1),
        (nn.MultiheadAttention(8, 2), "in_proj_weight", 8),
        (nn.MultiheadAttention(8, 2, kdim=5, vdim=6), "k_proj_weight", 5),
        (nn.LSTMCell(5, 7), "weight_hh", 7),
        (nn.GRUCell(5, 7), "weight_ih", 5),
    ],
)
def test_fan_in(module: nn.Module, attribute: str, fan_in: float) -> None:
    assert scale(module, attribute) == np.float32(math.sqrt(2 / fan_in))


def test_model_order_names_and_shapes() -> None:
    source = Source(AttentionBlock(), bias=True)
    assert source.shapes == {
        "attention.in_proj_weight": (48, 16),
        "attention.in_proj_bias": (48,),
        "attention.out_proj.weight": (16, 16),
        "attention.out_proj.bias": (16,),
        "out.weight": (5, 16),
        "out.bias": (5,),
    }
    assert source.densities == dict.fromkeys(
        ["attention.in_proj_weight", "attention.out_proj.weight", "out.weight"], 1.0
    )
    assert source.names == list(source.mask)


def test_biases_and_normalisation_are_fixed() -> None:
    model = conv_batch_norm()
    assert isinstance(model, nn.Sequential)
    for parameter in model.parameters():
        nn.init.constant_(parameter, 3.0)
    norm = model[1]
    assert isinstance(norm, nn.BatchNorm2d)
    assert isinstance(norm.running_mean, torch.Tensor)
    norm.running_mean.fill_(5.0)
    Source(model)
    assert not dict(model.named_parameters())["3.bias"].any()
    assert (norm.weight == 1).all()
    assert not norm.bias.any()
    assert not norm.running_mean.any()
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_drawn_biases_share_their_layers_distribution() -> None:
    model = LayerNormMLP()
    source = Source(model, bias=True, fan_density=0.25)
    weights = source.weights()
    assert set(np.abs(weights["fc2.bias"])) == set(np.abs(weights["fc2.weight"]).ravel())
    assert not model.norm.bias.any()


def test_fan_density_scales_each_layer_by_its_root() -> None:
    plain = Source(LayerNormMLP()).weights()
    scaled = Source(LayerNormMLP(), fan_density={"fc2.weight": 0.25}).weights()
    assert np.array_equal(scaled["fc1.weight"], plain["fc1.weight"])
    assert np.array_equal(scaled["fc2.weight"], 2 * plain["fc2.weight"])


def test_tied_weights_are_one_tensor() -> None:
    model = TiedLanguageModel()
    source = Source(model)
    assert source.names == ["embedding.weight", "hidden.weight"]
    search = tombola.EdgePopup(source, density=0.5)
    assert torch.equal(model.out.weight, model.embedding.weight)
    assert int((model.out.weight != 0).sum()) == search.mask["embedding.weight"].sum()
    source.detach()
    assert model.out.weight is model.embedding.weight


def test_include_leaves_other_layers_whole() -> None:
    model = conv_batch_norm()
    source = Source(model, include=["3.*", "6.weight"], density=0.5)
    search = tombola.EdgePopup(source, density=0.25)
    assert list(search.scores) == ["3.weight", "6.weight"]
    assert source.mask["0.weight"].all()
    assert search.mask["0.weight"].all()
    assert search.mask["6.weight"].sum() == round(0.25 / 0.5 * int(source.mask["6.weight"].sum()))
    ticket = search.ticket()
    assert (ticket.weights()["0.weight"] != 0).all()
    assert list(tombola.EdgePopup(Source(conv_batch_norm(), include=lambda n: n == "6.weight")).scores) == [
        "6.weight"
    ]


class WithToken(nn.Module):
    """A parameter of no known kind beside a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 4))
        self.out = nn.Linear(4, 2)


def test_unknown_parameters_need_a_word() -> None:
    model = WithToken()
    before = model.token.detach().clone()
    with pytest.raises(ArgumentError, match=r"'token' of WithToken, shape \(1, 4\), is of no known kind"):
        Source(model)
    assert torch.equal(model.token, before)
    assert model.out.weight.requires_grad
    assert repr(Source(model, fixed={"tok*": 0.5})).startswith("Source(WithToken, ")
    assert (model.token == 0.5).all()
    drawn = Source(WithToken(), fan_in={"token": 8})
    assert set(np.abs(drawn.weights()["token"]).ravel()) == {np.float32(0.5)}


def test_all_unknown_parameters_are_named_at_once() -> None:
    model = WithToken()
    model.scale = nn.Parameter(torch.ones(()))
    with pytest.raises(ArgumentError, match=r"'token' of WithToken.*; likewise for 'scale', shape \(\)$"):
        Source(model)
    for i in range(7):
        model.register_parameter(f"more{i}", nn.Parameter(torch.ones(2)))
    with pytest.raises(ArgumentError, match=r"'more3', shape \(2,\); and 3 more$"):
        Source(model)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, r"seed must be an integer in \[0, 2\^64\), got -1"),
        ({"init": "kaiming"}, "unknown init 'kaiming': did you mean 'kaiming_"),
        ({"density": 0.0}, r"density is the fraction of weights kept, in \(0, 1\], got 0.0"),
        ({"density": 1.5}, r"in \(0, 1\], got 1.5"),
        ({"density": float("nan")}, r"in \(0, 1\], got nan"),
        ({"density": True}, r"in \(0, 1\], got True"),
        ({"rule": "unifrom"}, "unknown density rule 'unifrom': did you mean 'uniform'"),
        ({"fan_density": 0.0}, r"fan_density is the fraction of weights kept, in \(0, 1\], got 0.0"),
        ({"fan_density": {"fc3.weight": 0.5}}, "fan_density names 'fc3.weight', but the layers are: fc1"),
        ({"include": "conv*"}, "include matches none of the weights: fc1.weight, fc2.weight"),
        ({"fan_in": {"fc1.weight": float("inf")}}, "got inf"),
        ({"fixed": {"fc1.bias": float("nan")}}, "fixed value of 'fc1.bias' must be a float32 number"),
        ({"fixed": {"fc1.bias": "x"}}, "must be a float32 number, got 'x'"),
        ({"fixed": {"tok": 1.0}}, "fixed names 'tok', but the parameters are: fc1.weight"),
        ({"fan_density": 1e-300}, r"fan_density must be at least 2\^-31, got 1e-300"),
        ({"fan_in": {"fc1.weight": 0}}, r"fan_in of 'fc1.weight' must be in \[2\^-31, 2\^31\], got 0"),
    ],
)
def test_bad_options_leave_the_model_as_it_was(options: dict[str, Any], message: str) -> None:
    model = LayerNormMLP()
    before = {name: values.clone() for name, values in model.state_dict().items()}
    with pytest.raises(ArgumentError, match=message) as raised:
        Source(model, **options)
    assert "\n" not in str(raised.value)
    assert list(before) == list(model.state_dict())
    assert all(torch.equal(values, before[name]) for name, values in model.state_dict().items())


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.ReLU()), "the model has nothing to mask: expected a Linear"),
        (nn.BatchNorm1d(3), "the model has nothing to mask"),
        (nn.LSTM(3, 4), "LSTM keeps a list of its weights .* which no mask safely reaches; use LSTMCell"),
        (nn.Linear(3, 4, dtype=torch.float64), "'weight' must be float32, got torch.float64"),
        (nn.LazyLinear(4), "'weight' has no shape yet"),
        (nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)), "is parametrized already"),
    ],
)
def test_models_that_cannot_be_drawn(model: nn.Module, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Source(model)


def test_one_source_and_one_search_a_model() -> None:
    model = LayerNormMLP()
    source = Source(model)
    with pytest.raises(ArgumentError, match="'fc1' is parametrized already"):
        Source(model)
    tombola.EdgePopup(source)
    with pytest.raises(ArgumentError, match="the source is searched already"):
        tombola.EdgePopup(source)


def test_detach_restores_what_was_trainable() -> None:
    model = LayerNormMLP()
    model.fc1.bias.requires_grad_(False)
    source = Source(model)
    source.detach()
    source.detach()
    assert not model.fc1.bias.requires_grad
    assert model.fc1.weight.requires_grad
    with pytest.raises(ArgumentError, match="cannot search: the source was detached"):
        tombola.EdgePopup(source)
    Source(model)  # a detached model takes a new source


def test_a_detached_model_trains() -> None:
    model = grouped_conv()
    Source(model).detach()
    model(torch.randn(2, 4, 6, 6)).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_ticket_is_refused_when_the_model_was_changed_by_hand() -> None:
    for name in ("fc1.bias", "fc2.weight"):
        model = LayerNormMLP()
        source = Source(model)
        search = tombola.EdgePopup(source)
        with torch.no_grad():
            source.parameter(name).add_(1.0)
        with pytest.raises(TombolaError, match=f"'{name}' no longer holds its value from the seed"):
            search.ticket()


def test_redraw_touches_only_what_it_may() -> None:
    source = Source(LayerNormMLP(), density=0.5)
    before = source.weights()["fc1.weight"]
    pruned = torch.zeros(24, 12, dtype=torch.bool)
    pruned[:12] = True
    source.redraw({"fc1.weight": pruned}, 1.0, generation=4)
    generations = source.generations()["fc1.weight"]
    expected = source.mask["fc1.weight"] & pruned.numpy()
    assert generations is not None
    assert np.array_equal(generations, np.where(expected, 4, 0))
    after = source.weights()["fc1.weight"]
    assert np.array_equal(after[~expected], before[~expected])
    assert (after[expected] != before[expected]).mean() > 0.3  # signs: half of them
    assert source.generations()["fc2.weight"] is None


@pytest.mark.parametrize("rate", [0.0, 0.1, 1.0])
def test_redraw_hits_its_rate(rate: float) -> None:
    source = Source(nn.Linear(300, 300))
    source.redraw({"weight": torch.ones(300, 300, dtype=torch.bool)}, rate, generation=1)
    generations = source.generations()["weight"]
    assert generations is not None
    hit = int((generations == 1).sum())
    assert abs(hit - rate * 90_000) <= 5 * math.sqrt(90_000 * rate * (1 - rate))
