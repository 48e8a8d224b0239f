"""EdgePopup and IteRand beyond the laws: an independent reference, options, edge cases, rejections."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from builders import CASES, LayerNormMLP, make_optimizer, train
from tombola import ArgumentError, EdgePopup, IteRand, SignedSupermask, Source
from tombola.mask import top_k
from tombola.rng import Stream
from tombola.search.select import Scored
from tombola.sparse import RigL


def reference_edge_popup(steps: int, keep: float, redraw: bool) -> tuple[np.ndarray, np.ndarray]:
    """Edge-popup on one linear layer in plain numpy, from the papers; returns scores and mask.

    Squared-norm loss ½‖W_M x‖² for fixed x, so ∂L/∂W_M = (W_M x) xᵀ; plain SGD.
    """
    source = Source(nn.Linear(6, 4, bias=False), seed=1, init="uniform")
    weights = source.weights()["weight"].astype(np.float64)
    scores = next(iter(EdgePopup(source, keep).parameters())).detach().numpy().astype(np.float64)
    x = np.linspace(-1, 1, 6)

    def mask_of(s: np.ndarray) -> np.ndarray:
        order = sorted(range(24), key=lambda i: (-s.flat[i], i))
        return np.isin(np.arange(24), order[: round(keep * 24)]).reshape(4, 6)

    for step in range(1, steps + 1):
        masked = weights * mask_of(scores)
        scores -= 0.1 * np.outer(masked @ x, x) * weights
        if redraw and step % 2 == 0:
            pruned = ~mask_of(scores)
            stream = Stream(1, "weight", "redraw", step // 2)
            chosen = (stream.words(24) < 2**31).reshape(4, 6) & pruned
            words = Stream(1, "weight", "weight", step // 2).words(24)
            new = (2.0 * (words >> 9) + 1 - 2**23) / 2**23
            weights = np.where(chosen, new.reshape(4, 6), weights)
    return scores, mask_of(scores)


@pytest.mark.parametrize("redraw", [False, True])
def test_against_the_reference(redraw: bool) -> None:
    expected_scores, expected_mask = reference_edge_popup(40, 0.4, redraw)
    model = nn.Linear(6, 4, bias=False)
    source = Source(model, seed=1, init="uniform")
    search = IteRand(source, 0.4, period=2, rate=0.5) if redraw else EdgePopup(source, 0.4)
    optimizer = torch.optim.SGD(search.parameters(), lr=0.1)
    x = torch.linspace(-1, 1, 6)
    initial = search.mask
    for _ in range(40):
        optimizer.zero_grad()
        (0.5 * model(x).square().sum()).backward()
        optimizer.step()
        search.step()
    np.testing.assert_allclose(
        search.scores["weight"].detach().numpy(), expected_scores, rtol=1e-4, atol=1e-5
    )
    assert np.array_equal(search.mask["weight"], expected_mask)
    assert search.mask != initial  # the example moves, or it would prove nothing


@pytest.mark.parametrize("options", [{"rate": 0.0, "period": 2}, {"period": None}])
def test_iterand_without_redraws_is_edge_popup(options: dict[str, Any]) -> None:
    tickets = []
    for make in (lambda s: IteRand(s, 0.5, **options), lambda s: EdgePopup(s, 0.5)):
        model = CASES["conv"].build()
        search = make(Source(model, seed=2))
        train(CASES["conv"], model, search, make_optimizer(search), range(6))
        assert not any(values is not None for values in search.source.generations().values())
        tickets.append(search.ticket())
    assert tickets[0] == tickets[1]


def test_rate_one_redraws_every_pruned_weight() -> None:
    model = CASES["mlp"].build()
    source = Source(model, seed=2)
    search = IteRand(source, 0.5, period=3, rate=1.0)
    train(CASES["mlp"], model, search, make_optimizer(search), range(3))
    for name, generations in source.generations().items():
        assert np.array_equal(generations == 1, ~search.mask[name])


def test_redraws_come_every_period() -> None:
    model = CASES["mlp"].build()
    source = Source(model, seed=2)
    search = IteRand(source, 0.5, period=3, rate=1.0)
    optimizer = make_optimizer(search)
    highest = []
    for step in range(7):
        train(CASES["mlp"], model, search, optimizer, range(step, step + 1))
        highest.append(max(int(g.max()) for g in source.generations().values() if g is not None))
    assert highest == [0, 0, 1, 1, 1, 2, 2]


@pytest.mark.parametrize(("name", "gain"), [("fan_in", 1.0), ("kaiming_uniform", math.sqrt(6))])
def test_scores_start_uniform_within_their_bound(name: str, gain: float) -> None:
    search = EdgePopup(Source(nn.Linear(400, 100)), score_init=name)
    scores = search.scores["weight"].detach()
    bound = gain / math.sqrt(400)
    assert 0.99 * bound < float(scores.abs().max()) <= bound * (1 + 1e-6)
    assert float(scores.std()) == pytest.approx(bound / math.sqrt(3), rel=0.02)


def test_absolute_scores_keep_the_largest_magnitudes() -> None:
    search = EdgePopup(Source(nn.Linear(4, 1)), 0.5, absolute=True)
    with torch.no_grad():
        search.scores["weight"].copy_(torch.tensor([[-4.0, 1.0, 2.0, -3.0]]))
    assert search.mask["weight"].tolist() == [[True, False, False, True]]


def test_the_forward_pass_follows_scores_changed_by_hand() -> None:
    model = nn.Linear(4, 1)
    search = EdgePopup(Source(model), 0.25)
    for best in range(4):
        with torch.no_grad():
            search.scores["weight"].copy_(F.one_hot(torch.tensor([best]), 4).float())
        assert torch.nonzero(model.weight.flatten()).flatten().tolist() == [best]


def test_global_threshold_lets_layers_differ() -> None:
    source = Source(LayerNormMLP())
    search = EdgePopup(source, 0.5, scope="global")
    with torch.no_grad():
        search.scores["fc1.weight"].fill_(-1.0)
        search.scores["fc2.weight"].fill_(1.0)
    assert search.mask["fc2.weight"].all()
    assert search.mask.kept == round(0.5 * 288) + round(0.5 * 120)


def test_biases_share_the_threshold_of_their_layer() -> None:
    model = nn.Linear(3, 2)
    search = EdgePopup(Source(model, bias=True), 0.25)
    with torch.no_grad():
        search.scores["weight"].fill_(0.0)
        search.scores["bias"].fill_(1.0)
    assert search.mask["bias"].all()
    assert not search.mask["weight"].any()  # round(0.25 · 8) = 2 entries in all


def test_densities_by_layer() -> None:
    search = EdgePopup(Source(LayerNormMLP()), {"fc1.weight": 0.5, "fc2.weight": 0.1})
    assert {name: int(m.sum()) for name, m in search.mask.items()} == {"fc1.weight": 144, "fc2.weight": 12}


def test_a_thinned_source_keeps_the_right_fraction_of_what_is_alive() -> None:
    source = Source(LayerNormMLP(), density=0.5)
    search = EdgePopup(source, 0.2)
    for name, mask in search.mask.items():
        assert mask.sum() == round(0.2 / 0.5 * int(source.mask[name].sum()))


@pytest.mark.parametrize(
    ("density", "message"),
    [
        (0.0, r"in \(0, 1\], got 0.0"),
        (1.1, r"in \(0, 1\], got 1.1"),
        (0.6, "ticket density 0.6 is above the source's density 0.5"),
        (0.001, "layer 'fc1.weight': density 0.001 keeps none of its 288 weights"),
        ({"fc1.weight": 0.9, "fc2.weight": 0.1}, "asks for 259 weights, but only .* of 288 are alive"),
        ({"fc1.weight": 0.1}, "density names no value for layer 'fc2.weight'"),
        ({"fc1.weight": 0.1, "fc2.weight": 0.1, "x": 0.1}, "density names 'x', but the layers are"),
        ({"fc1.weight": 2.0, "fc2.weight": 0.1}, r"density of 'fc1.weight' .* got 2.0"),
    ],
)
def test_bad_densities(density: Any, message: str) -> None:
    source = Source(LayerNormMLP(), density=0.5)
    with pytest.raises(ArgumentError, match=message):
        EdgePopup(source, density)
    EdgePopup(source, 0.3)  # the source is still free


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"period": 0}, "period is a number of optimiser steps, at least 1 .or None., got 0"),
        ({"period": 1.5}, "period is a number of optimiser steps, at least 1 .or None., got 1.5"),
        ({"rate": -0.1}, r"rate is the probability of a redraw, in \[0, 1\], got -0.1"),
        ({"rate": 1.1}, "got 1.1"),
        ({"rate": float("nan")}, "got nan"),
        ({"rate": True}, "got True"),
        ({"absolute": "no"}, "absolute must be True or False, got 'no'"),
        ({"scope": "gobal"}, "unknown scope 'gobal': did you mean 'global'"),
        ({"score_init": "fanin"}, "unknown score init 'fanin': did you mean 'fan_in'"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        IteRand(Source(LayerNormMLP()), **options)


@pytest.mark.parametrize("method", [EdgePopup, IteRand, SignedSupermask, RigL])
def test_a_model_is_no_source(method: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^source must be a Source, got a LayerNormMLP: make one"):
        method(LayerNormMLP(), density=0.5)


def test_a_nan_score_is_named() -> None:
    search = EdgePopup(Source(LayerNormMLP()))
    with torch.no_grad():
        search.scores["fc2.weight"][0, 0] = torch.nan
    with pytest.raises(ArgumentError, match="fc2.weight: scores must be finite numbers, got"):
        search.step()


@pytest.mark.parametrize("value", [torch.inf, -torch.inf])
def test_infinite_scores_are_refused(value: float) -> None:
    # -inf would tie with the rank of the entries outside the source, and keep some of those.
    search = EdgePopup(Source(LayerNormMLP(), density=0.5), 0.3)
    search.scores["fc1.weight"].data.fill_(value)
    with pytest.raises(ArgumentError, match="fc1.weight: scores must be finite numbers"):
        search.step()


@pytest.mark.parametrize(("cast", "kept"), [(True, 16), (False, 0)])
def test_a_search_whose_scores_tell_no_mask_can_be_looked_at(cast: bool, kept: int) -> None:
    model = nn.Linear(8, 8)
    search = EdgePopup(Source(model), 0.25)
    if cast:
        model.half()
    else:
        nn.init.constant_(search.scores["weight"], torch.nan)
    assert f"{kept} of 64 weights" in repr(search)
    assert search.table().rows == [("weight", "8 × 8", "64", str(kept), f"{kept / 64:.4g}")]
    with pytest.raises(ArgumentError, match="weight: scores must be"):
        _ = search.mask


def test_scores_of_another_type_are_refused() -> None:
    model = LayerNormMLP()
    source = Source(model)
    search = EdgePopup(source)
    model.bfloat16()
    with pytest.raises(ArgumentError, match="fc1.weight: scores must be float32, got torch.bfloat16"):
        search.step()
    source.detach()
    assert type(model.fc1) is nn.Linear


@pytest.mark.parametrize("options", [{}, {"fused": True}, {"foreach": True}])
def test_the_mask_is_that_of_the_scores_after_any_optimiser(options: dict[str, Any]) -> None:
    model = LayerNormMLP()
    search = EdgePopup(Source(model))
    optimizer = torch.optim.SGD(search.parameters(), lr=50.0, **options)
    before = search.mask
    model(torch.randn(4, 12)).sum().backward()
    optimizer.step()
    expected = top_k(search.scores["fc1.weight"].detach().numpy().reshape(-1), 144).reshape(24, 12)
    assert np.array_equal(search.mask["fc1.weight"], expected)
    assert search.mask != before


def test_a_copy_made_after_one_step_follows_its_own_scores() -> None:
    model = LayerNormMLP()
    search = EdgePopup(Source(model))
    train(CASES["mlp"], model, search, make_optimizer(search), range(1))
    twin = copy.deepcopy(search)
    with torch.no_grad():
        for scores in twin.parameters():
            scores.neg_()
    used = twin.source.in_use("fc1.weight") != 0
    expected = top_k(twin.scores["fc1.weight"].detach().numpy().reshape(-1), 144).reshape(24, 12)
    assert np.array_equal(used.numpy(), expected)


def test_a_copy_can_be_detached_alone() -> None:
    model = LayerNormMLP()
    search = EdgePopup(Source(model))
    x = torch.randn(2, 12)
    before = model(x)
    copy.deepcopy(search).source.detach()
    assert torch.equal(model(x), before)
    search.source.detach()
    assert type(model.fc1) is nn.Linear
    assert torch.equal(model(x), before)


def test_steps_end_with_the_source() -> None:
    source = Source(LayerNormMLP())
    search = EdgePopup(source)
    source.detach()
    with pytest.raises(ArgumentError, match="cannot step: the source was detached"):
        search.step()


def test_another_number_to_keep_counts_from_the_next_use() -> None:
    model = nn.Linear(4, 3)
    EdgePopup(Source(model))
    (group,) = {module.group for module in model.modules() if isinstance(module, Scored)}
    assert group is not None
    for keep in (2, 9):
        group.set_keep(keep)
        assert int(torch.count_nonzero(model.weight)) == keep
