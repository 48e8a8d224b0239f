"""Masks chosen at once: each criterion against cases worked out by hand, and what it leaves behind."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sparse_helpers import expected_counts, exported, layer_counts, loss_on, make_source
from torch import nn

from builders import CASES
from tombola import ArgumentError, EdgePopup, Mask, Source, densities
from tombola.sparse import Static, grasp, magnitude, random, snip

pytestmark = pytest.mark.filterwarnings("ignore:layers left without a weight")

CRITERIA = {name: value for name, value in exported().items() if not isinstance(value, type)}
every_criterion = pytest.mark.parametrize("name", CRITERIA)
LOSS = loss_on(CASES["conv"])


def linear(*rows: list[float], **options: Any) -> Source:
    """A layer without bias that holds these weights."""
    source = Source(nn.Linear(len(rows[0]), len(rows), bias=False), **options)
    with torch.no_grad():
        source.parameter("weight").copy_(torch.tensor(rows))
    return source


def kept(mask: Mask) -> list[int]:
    """The flat indices kept of the only tensor."""
    return np.flatnonzero(mask["weight"]).tolist()


def test_magnitude() -> None:
    source = linear([1.0, -5.0, 2.0], [0.5, -3.0, 0.0])
    assert kept(magnitude(source, 0.5)) == [1, 2, 4]


def test_equal_magnitudes_are_chosen_among_at_random() -> None:
    """The lower index first would leave neurons of a signed-constant source without an edge."""
    even = Source(nn.Linear(400, 100), seed=1)
    rows = magnitude(even, 0.25)["weight"].sum(axis=1)
    assert rows.sum() == 10_000
    assert abs(rows - 100).max() < 5 * (400 * 0.25 * 0.75) ** 0.5
    assert magnitude(Source(nn.Linear(400, 100), seed=1), 0.25) == magnitude(even, 0.25)
    # But the least difference that float32 knows counts more.
    weights = np.full(64, 1.0, np.float32)
    weights[40:] = np.nextafter(np.float32(1.0), np.float32(2.0))
    assert kept(magnitude(linear(weights.tolist()), 24 / 64)) == list(range(40, 64))


def squared(model: nn.Module) -> torch.Tensor:
    """½ (w · x - t)², whose gradient is (w · x - t) x."""
    error: torch.Tensor = model(torch.tensor([[2.0, 0.1, 1.0, 0.5]])) - 1.0
    return error.square().sum() / 2


def test_snip_is_the_gradient_times_the_weight() -> None:
    # w · x - t = 0.45, so |g w| = 0.45 · (2, 0.2, 1, 0.25); |w| would choose the first two.
    source = linear([1.0, 2.0, -1.0, 0.5])
    assert kept(snip(source, 0.25, squared)) == [0]
    assert kept(snip(source, 0.5, squared)) == [0, 2]
    assert kept(snip(source, 0.75, squared)) == [0, 2, 3]
    assert 1 in kept(magnitude(source, 0.5))


def quadratic(model: nn.Module) -> torch.Tensor:
    """½ w · A w, whose gradient is A w and whose Hessian is A."""
    weight = model.weight
    assert isinstance(weight, torch.Tensor)
    matrix = torch.tensor([[1.0, 1.0, 0.0], [1.0, 4.0, 0.0], [0.0, 0.0, 1.0]])
    return (weight @ matrix @ weight.T).sum() / 2


def test_grasp_is_the_weight_times_hessian_times_gradient() -> None:
    # g = (-1, 2, 1), Hg = (1, 7, 1), w · Hg = (-2, 7, 1): the first is the first to go, though |w| and |g w|
    # are greatest there.
    source = linear([-2.0, 1.0, 1.0])
    assert kept(grasp(source, 1 / 3, quadratic)) == [1]
    assert kept(grasp(source, 2 / 3, quadratic)) == [1, 2]
    assert kept(snip(source, 2 / 3, quadratic)) == [0, 1]


def test_grasp_of_a_loss_without_curvature_has_nothing_to_choose_by() -> None:
    source = linear([1.0, 2.0, 3.0, 4.0])
    assert kept(grasp(source, 0.5, lambda model: model(torch.ones(1, 4)).sum())) == [0, 1]


@every_criterion
@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("options", ["dense", "er", "er-bias", "given"])
def test_scopes(name: str, scope: str, options: str) -> None:
    source = make_source("mlp", options)
    mask = CRITERIA[name](source, 0.3, loss_on(CASES["mlp"]), scope=scope)
    expected, counts = expected_counts(source, 0.3), layer_counts(source, mask)
    assert mask <= source.mask
    assert sum(counts.values()) == sum(expected.values())
    if scope == "layer":
        assert counts == expected
    elif name != "random":  # which may come out even by chance
        assert counts != expected


@pytest.mark.parametrize("name", [name for name in CRITERIA if name != "synflow"])
def test_rules_and_densities_of_layers(name: str) -> None:
    source = make_source("mlp", "er")
    expected = densities(source.shapes, 0.2, "erk")
    wanted = {layer: round(expected[layer] * source.mask[layer].size) for layer in source.names}
    loss = loss_on(CASES["mlp"])
    assert layer_counts(source, CRITERIA[name](source, 0.2, loss, rule="erk", scope="layer")) == wanted
    layers = {"fc1.weight": 0.25, "fc2.weight": 0.4}
    for density, options in ((0.2, {"rule": "erk"}), (layers, {})):
        with pytest.raises(ArgumentError, match="a global ranking has one density for all layers together"):
            CRITERIA[name](source, density, loss, scope="global", **options)
    mask = CRITERIA[name](source, layers, loss, scope="layer")
    assert layer_counts(source, mask) == {"fc1.weight": 72, "fc2.weight": 48}


@every_criterion
def test_what_takes_no_part_is_kept_whole(name: str) -> None:
    source = Source(CASES["mlp"].build(), include="fc1.*")
    mask = CRITERIA[name](source, 0.25, loss_on(CASES["mlp"]))
    assert mask["fc2.weight"].all()
    assert mask["fc1.weight"].sum() == 72
    assert Static(source, mask=mask).mask == mask


def test_random_is_a_function_of_the_seed() -> None:
    masks = [random(make_source("mlp", seed=seed), 0.3) for seed in (3, 3, 4)]
    assert masks[0] == masks[1] != masks[2]


def failing(model: nn.Module) -> torch.Tensor:
    LOSS(model)  # the statistics have changed then
    raise RuntimeError("no data")


@every_criterion
@pytest.mark.parametrize("loss", [LOSS, failing])
def test_the_source_is_left_as_it_was(name: str, loss: Callable[[nn.Module], torch.Tensor]) -> None:
    source = make_source("conv", "er-bias")
    source.model.train()
    source.model[1].eval()  # type: ignore[index]
    before = {key: value.clone() for key, value in source.model.state_dict().items()}
    modes = [module.training for module in source.model.modules()]
    if loss is failing and name not in ("magnitude", "random"):
        with pytest.raises(RuntimeError, match="no data"):
            CRITERIA[name](source, 0.3, loss)
    else:
        assert CRITERIA[name](source, 0.3, loss) == CRITERIA[name](source, 0.3, loss)
    after = source.model.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert modes == [module.training for module in source.model.modules()]
    assert not any(p.requires_grad or p.grad is not None for p in source.model.parameters())
    assert all(source.slot(tensor).masking is None for tensor in source.names)
    EdgePopup(source, 0.3).ticket().verify()  # it still is the seed's network


def test_a_layer_that_loses_all_is_warned_of() -> None:
    source = Source(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), init="kaiming_uniform")
    with torch.no_grad():
        source.parameter("0.weight").mul_(1e-3)
    with pytest.warns(UserWarning, match="^layers left without a weight: 0.weight$"):
        mask = magnitude(source, 0.5, scope="global")
    assert not mask["0.weight"].any()
    assert mask["1.weight"].all()


@every_criterion
@pytest.mark.parametrize("density", [0.0, -0.5, 1.5, math.nan, "half", None, True])
def test_a_density_out_of_range_is_refused(name: str, density: Any) -> None:
    with pytest.raises(ArgumentError, match=r"density is the fraction .* in \(0, 1\], got"):
        CRITERIA[name](make_source("mlp"), density, loss_on(CASES["mlp"]))


@every_criterion
@pytest.mark.parametrize(
    ("density", "options", "message"),
    [
        (0.7, {}, "ticket density 0.7 is above the source's density 0.6"),
        (1e-6, {"scope": "layer"}, "layer 'fc1.weight': density 1e-06 keeps none of its 288 weights"),
        (1e-6, {"scope": "global"}, "density 1e-06 keeps none of the network's weights"),
        (0.3, {"scope": "layers"}, "unknown scope 'layers': did you mean 'layer'"),
    ],
)
def test_what_cannot_be_chosen_is_refused(
    name: str, density: float, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        CRITERIA[name](make_source("mlp", "er"), density, loss_on(CASES["mlp"]), **options)


@every_criterion
def test_a_source_that_is_not_free_is_refused(name: str) -> None:
    taken: list[tuple[Callable[[Source], object], str]] = [
        (EdgePopup, "the source is searched or trained already"),
        (Static, "the source is searched or trained already"),
        (Source.detach, "cannot train: the source was detached"),
    ]
    for take, message in taken:
        source = make_source("mlp")
        take(source)
        with pytest.raises(ArgumentError, match=message):
            CRITERIA[name](source, 0.3, loss_on(CASES["mlp"]))


@pytest.mark.parametrize("criterion", [snip, grasp])
@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda model: model(torch.ones(2, 12)), r"scalar tensor .* got a tensor of shape \(2, 5\)"),
        (lambda model: model(torch.ones(2, 12)).sum().item(), r"scalar tensor .* got -?\d"),
        (lambda model: torch.ones(()), r"that depends on the weights, got a tensor of shape \(\)"),
        (lambda model: model(torch.ones(2, 12)).sum() * math.nan, "of 'fc1.weight' must be numbers"),
        (lambda model: None, "scalar tensor .* got None"),
    ],
)
def test_a_loss_that_is_none_is_refused(
    criterion: Any, loss: Callable[[nn.Module], torch.Tensor], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        criterion(make_source("mlp"), 0.3, loss)


def test_a_weight_that_is_no_number_cannot_be_ranked() -> None:
    with pytest.raises(ArgumentError, match="the weights, or gradients, of 'weight' must be numbers"):
        magnitude(linear([1.0, math.inf, 2.0]), 0.5)


def test_a_model_that_reads_its_weights_twice() -> None:
    source = Source(nn.Linear(4, 4), init="kaiming_uniform")
    x, y = torch.eye(4), torch.linspace(-9, 9, 16).sin().reshape(4, 4)
    both = torch.cat([x, y])
    once = snip(source, 0.5, lambda model: F.mse_loss(model(both), both))
    twice = snip(source, 0.5, lambda model: F.mse_loss(model(x), x) + F.mse_loss(model(y), y))
    assert once == twice
    assert once != snip(source, 0.5, lambda model: F.mse_loss(model(x), x))
    assert once != snip(source, 0.5, lambda model: F.mse_loss(model(y), y))
