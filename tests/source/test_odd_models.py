"""Source over models that are out of the ordinary: layouts, wrappers, rare layers, replaced parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import tombola
from builders import LayerNormMLP
from tombola import ArgumentError, Source, TombolaError
from tombola.sparse import Static


class WithToken(nn.Module):
    """A free parameter beside a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 4))
        self.out = nn.Linear(4, 2)


def test_channels_last_and_transposed_parameters_are_redrawn() -> None:
    layout = nn.Conv2d(4, 6, 3)
    layout.weight = nn.Parameter(layout.weight.contiguous(memory_format=torch.channels_last))
    plain = nn.Conv2d(4, 6, 3)
    tickets = []
    for model in (layout, plain):
        search = tombola.IteRand(Source(model), 0.5, period=1, rate=1.0)
        search.step()
        tickets.append(search.ticket())
        assert search.source.generations()["weight"] is not None
    assert tickets[0] == tickets[1]
    turned = nn.Linear(6, 8)
    turned.weight = nn.Parameter(torch.randn(6, 8).t())
    search = tombola.IteRand(Source(turned), 0.5, period=1, rate=1.0)
    search.step()
    search.ticket()


def test_fixed_values_that_float32_rounds() -> None:
    model = WithToken()
    ticket = tombola.EdgePopup(Source(model, fixed={"token": 0.1}), 0.5).ticket()
    fresh = WithToken()
    ticket.apply(fresh)
    assert torch.equal(fresh.token, model.token)


def test_parameters_replaced_by_a_state_dict_are_noticed() -> None:
    model, other = LayerNormMLP(), LayerNormMLP()
    search = tombola.EdgePopup(Source(model))
    tombola.EdgePopup(Source(other, seed=1))
    model.load_state_dict(other.state_dict(), assign=True)
    with pytest.raises(TombolaError, match="'fc1.weight' no longer holds its value from the seed"):
        search.ticket()


@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile])
def test_wrappers_are_refused(wrap: Any) -> None:
    with pytest.raises(ArgumentError, match="wraps a model: give Source the model itself"):
        Source(wrap(LayerNormMLP()))


@pytest.mark.parametrize("options", [{"sparse": True}, {"max_norm": 1.0}])
def test_embeddings_that_masks_do_not_reach(options: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match="max_norm rewrites frozen weights and sparse gradients"):
        Source(nn.Embedding(5, 4, **options))


def test_drawn_biases_are_thinned_with_their_layer() -> None:
    source = Source(nn.Linear(2, 4000), bias=True, density=0.3)
    assert abs(int(source.mask["bias"].sum()) - 1200) < 5 * 29


def test_scores_and_weights_come_from_streams_of_their_own() -> None:
    source = Source(nn.Linear(100, 100), init="uniform")
    scores = tombola.EdgePopup(source).scores["weight"].detach().numpy()
    correlation = np.corrcoef(scores.ravel(), source.weights()["weight"].ravel())[0, 1]
    assert abs(float(correlation)) < 5 / 100


@pytest.mark.parametrize("norm", [nn.GroupNorm(2, 6), nn.LayerNorm(6), nn.RMSNorm(6), nn.PReLU(6)])
def test_every_normalisation_is_fixed(norm: nn.Module) -> None:
    nn.init.constant_(norm.weight, 7.0)  # type: ignore[arg-type]
    source = Source(nn.Sequential(nn.Linear(6, 6, bias=False), norm))
    assert source.recipe.fixed[0].value == (0.25 if isinstance(norm, nn.PReLU) else 1.0)
    assert source.names == ["0.weight"]


def test_instance_norm_statistics_are_stored() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.InstanceNorm2d(2, track_running_stats=True))
    assert list(Source(model).statistics()) == ["1.running_mean", "1.running_var"]


def test_names_follow_the_model_where_attention_is_unpacked() -> None:
    source = Source(nn.MultiheadAttention(8, 2, kdim=5, vdim=6), bias=True)
    assert source.names == [
        "q_proj_weight",
        "k_proj_weight",
        "v_proj_weight",
        "in_proj_bias",
        "out_proj.weight",
        "out_proj.bias",
    ]


def test_a_source_alone_computes_with_positive_zeros() -> None:
    source = Source(nn.Linear(50, 50), density=0.5)
    dead = source.in_use("weight")[torch.from_numpy(~source.mask["weight"])]
    assert not torch.signbit(dead).any()


class Scaled(nn.Module):
    """A layer, and a factor without axes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 4) -> (N, 4)."""
        return torch.as_tensor(self.layer(x) * self.scale)


@pytest.mark.parametrize("method", [tombola.IteRand, tombola.SignedSupermask, tombola.sparse.RigL])
def test_a_parameter_without_axes_takes_part(method: Any) -> None:
    network = Scaled()
    found = method(Source(network, 0, fan_in={"scale": 1}), density=0.6, period=1)
    network(torch.ones(2, 4)).sum().backward()
    found.step()
    assert found.mask["scale"] == np.array(True)
    if isinstance(found, tombola.Search):
        found.ticket().apply(other := Scaled())
        assert torch.equal(network(torch.ones(2, 4)), other(torch.ones(2, 4)))


def test_what_is_no_model() -> None:
    name: Any = "conv2"
    with pytest.raises(ArgumentError, match="^model must be a Module, got a str: give the network itself$"):
        Source(name)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.full((4, 3), -1), "got values from -1"),
        (np.full((4, 3), 2.7), "got float64"),
        (np.zeros((2, 2), dtype=int), r"of shape \(4, 3\), got int64 of shape \(2, 2\)"),
    ],
)
def test_restore_checks_its_generations(given: Any, message: str) -> None:
    source = Source(nn.Linear(3, 4))
    with pytest.raises(ArgumentError, match=message):
        source.restore({"weight": given})


def test_a_bias_without_its_weight() -> None:
    model = nn.utils.spectral_norm(nn.Linear(3, 4))
    with pytest.raises(ArgumentError, match="bias 'bias' stands beside no parameter 'weight' to share with"):
        Source(model, bias=True, fan_in={"weight_orig": 3})


def test_a_parameter_that_is_gone() -> None:
    model: Any = nn.Sequential(nn.Linear(3, 4))
    training = Static(Source(model), 0.5)
    model[0].bias = None
    with pytest.raises(TombolaError, match="the model has no parameter '0.bias' any more"):
        training.state_dict()
