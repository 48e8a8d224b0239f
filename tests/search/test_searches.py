"""EdgePopup and IteRand beyond the laws: an independent reference, options, edge cases, rejections."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._dynamo.testing import CompileCounter
from torch.nn.utils import parametrize

from builders import CASES, LayerNormMLP, make_optimizer, train
from tombola import ArgumentError, EdgePopup, IteRand, Source
from tombola.mask import top_k
from tombola.rng import Stream
from tombola.search.select import Scored
from tombola.search.straight_through import masked_weight


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
        ({"scope": "gobal"}, "unknown scope 'gobal': did you mean 'global'"),
        ({"score_init": "fanin"}, "unknown score init 'fanin': did you mean 'fan_in'"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        IteRand(Source(LayerNormMLP()), **options)


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


def test_scores_of_another_type_are_refused() -> None:
    model = LayerNormMLP()
    source = Source(model)
    search = EdgePopup(source)
    model.bfloat16()
    with pytest.raises(ArgumentError, match="fc1.weight: scores must be float32, got torch.bfloat16"):
        search.step()
    source.detach()
    assert type(model.fc1) is nn.Linear


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_a_model_of_another_type_can_be_detached(dtype: torch.dtype) -> None:
    model = LayerNormMLP()
    source = Source(model)
    EdgePopup(source)
    model.to(dtype)
    source.detach()
    assert model.fc1.weight.dtype == dtype
    assert int(torch.count_nonzero(model.fc1.weight)) == 144


def test_a_model_of_another_type_and_back_keeps_as_many() -> None:
    model = nn.Linear(64, 128)
    search = EdgePopup(Source(model), 0.3)
    with torch.no_grad():
        search.scores["weight"].copy_(torch.linspace(0, 1, 64 * 128).view(128, 64))
    search.step()
    model.bfloat16().float()  # which makes ties of scores
    assert int(torch.count_nonzero(model.weight)) == round(0.3 * 64 * 128)


def test_cached_weights_are_of_no_passing_type() -> None:
    model = nn.Linear(4, 2)
    EdgePopup(Source(model))
    x = torch.ones(1, 4)
    with parametrize.cached():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert model(x).dtype == torch.bfloat16
        assert model(x).dtype == torch.float32


class Doubled(nn.Linear):
    """A forward pass of its own, which may read the weight as it likes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, 2 * self.weight)


class Cosine(nn.Module):
    """Reads the weight of its layer itself, and normalises it in float32."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 6, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.float() @ F.normalize(self.fc.weight).T


class Tied(nn.Module):
    """An embedding, which does not cast its weight, shared with a linear layer, which does."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(6, 4)
        self.linear = nn.Linear(4, 6)
        self.linear.weight = self.embedding.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.linear(self.embedding(x.long().remainder(6)))
        return out


@pytest.mark.parametrize(
    ("make", "cast"),
    [
        (lambda: nn.Linear(4, 6), True),
        (lambda: nn.Conv1d(3, 6, 2), True),
        (lambda: nn.ConvTranspose1d(3, 6, 2), True),
        (lambda: Doubled(4, 6), False),
        (Tied, False),
        (Cosine, False),
    ],
)
def test_only_layers_that_cast_their_weight_get_it_cast(
    make: Callable[[], nn.Module], cast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What reads it as it is would compute otherwise than the plain model does under autocast."""
    model = make()
    source = Source(model, init="uniform")
    search = EdgePopup(source)
    x = torch.randn(3, 4)
    made = set()

    def watched(*inputs: Any) -> torch.Tensor:
        made.add(inputs[-1])
        return masked_weight(*inputs)

    monkeypatch.setattr("tombola.search.select.masked_weight", watched)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = model(x)
    assert made == {torch.bfloat16 if cast else torch.float32}
    assert model(x).dtype == torch.float32
    out.float().square().sum().backward()
    scores = next(search.parameters())
    gradient, random = scores.grad, next(iter(source.weights().values()))
    source.detach()
    plain = next(model.parameters()).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        again = model(x)
    assert torch.equal(again, out)
    (expected,) = torch.autograd.grad(again.float().square().sum(), plain)
    assert gradient is not None
    torch.testing.assert_close(gradient, expected * torch.from_numpy(random), rtol=1e-6, atol=1e-6)


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


def test_functional_call_computes_with_the_scores_given() -> None:
    model = nn.Linear(4, 1)
    EdgePopup(Source(model), 0.25)
    name = next(name for name, _ in model.named_parameters() if name.endswith("scores"))
    for best in (0, 3, 1):
        given = {name: F.one_hot(torch.tensor([best]), 4).float()}
        out = torch.func.functional_call(model, given, (torch.eye(4),))
        assert torch.nonzero(out.flatten()).flatten().tolist() == [best]


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_transforms_compute_with_the_scores_given(scope: str) -> None:
    model = LayerNormMLP()
    search = EdgePopup(Source(model, density=0.9), 0.5, scope=scope)
    names = [name for name, _ in model.named_parameters() if name.endswith("scores")]
    sets = {name: torch.randn(3, *model.get_parameter(name).shape) + 5 for name in names}
    x = torch.randn(7, 12)

    def loss(given: dict[str, torch.Tensor]) -> torch.Tensor:
        out: torch.Tensor = torch.func.functional_call(model, given, (x,))
        return out.square().sum()

    gradients, losses = torch.func.vmap(torch.func.grad_and_value(loss))(sets)
    for number in range(3):
        with torch.no_grad():
            for name in names:
                model.get_parameter(name).copy_(sets[name][number])
        expected = model(x).square().sum()
        found = torch.autograd.grad(expected, [*search.parameters()])
        torch.testing.assert_close(losses[number], expected)
        for name, one in zip(names, found, strict=True):
            torch.testing.assert_close(gradients[name][number], one)


@pytest.mark.parametrize("density", [1.0, 0.9])
def test_transforms_of_inputs_alone(density: float) -> None:
    model = LayerNormMLP()
    EdgePopup(Source(model, density=density), 0.5)
    x = torch.randn(3, 12, requires_grad=True)
    (expected,) = torch.autograd.grad(model(x).square().sum(), x)

    def loss(one: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = model(one)
        return out.square().sum()

    torch.testing.assert_close(torch.func.vmap(torch.func.grad(loss))(x.detach()), expected)


def test_per_sample_gradients() -> None:
    model = LayerNormMLP()
    search = EdgePopup(Source(model))
    x, y = torch.randn(3, 12), torch.tensor([0, 1, 2])
    trained = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}

    def loss(parameters: dict[str, torch.Tensor], one: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        logits = torch.func.functional_call(model, parameters, (one[None],))
        return F.cross_entropy(logits, label[None])

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(trained, x, y)
    (F.cross_entropy(model(x), y) * 3).backward()  # type: ignore[no-untyped-call]
    name = next(name for name in each if name.startswith("fc1"))
    gradient = search.scores["fc1.weight"].grad
    assert gradient is not None
    torch.testing.assert_close(each[name].sum(0), gradient)


def test_steps_end_with_the_source() -> None:
    source = Source(LayerNormMLP())
    search = EdgePopup(source)
    source.detach()
    with pytest.raises(ArgumentError, match="cannot step: the source was detached"):
        search.step()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "the saved search has seed = 1, this one has 0"),
        ({"density": 0.25}, "the saved search has density = 0.25, this one has 0.5"),
        ({"score_init": "kaiming_uniform"}, "the saved search has score_init = 'kaiming_uniform'"),
        ({"rate": 0.2}, "the saved search has rate = 0.2, this one has 0.1"),
        ({"absolute": True}, "the saved search has absolute = True, this one has False"),
    ],
)
def test_a_state_of_another_search_is_refused(change: dict[str, Any], message: str) -> None:
    def make(seed: int = 0, density: float = 0.5, **options: Any) -> IteRand:
        return IteRand(Source(LayerNormMLP(), seed=seed), density, **options)

    search = make()
    before = search.ticket()
    with pytest.raises(ArgumentError, match=message):
        search.load_state_dict(make(**change).state_dict())
    assert search.ticket() == before


@pytest.mark.parametrize("low", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("options", [{}, {"absolute": True}, {"scope": "global"}], ids=str)
@pytest.mark.parametrize("density", [1.0, 0.6])
def test_a_compiled_model_has_no_graph_break(low: bool, options: dict[str, Any], density: float) -> None:
    model = CASES["conv"].build()
    search = IteRand(Source(model, density=density), 0.4, period=1, rate=0.5, **options)
    x = torch.randn(4, 3, 8, 8)

    def run(network: Callable[..., torch.Tensor]) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=low):
            out = network(x)
        return out.float()

    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=low):
        explanation = torch._dynamo.explain(model)(x)
    assert explanation.graph_break_count == 0, explanation.break_reasons
    assert explanation.graph_count == 1
    compiled = torch.compile(model, backend="aot_eager")
    optimizer = make_optimizer(search)
    tolerance = 1e-2 if low else 1e-4
    with torch._dynamo.config.patch(error_on_recompile=True):
        for _ in range(3):  # through selections and redraws
            run(compiled).square().sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            search.step()
            with torch.no_grad():
                expected = run(model)
            torch.testing.assert_close(run(compiled).detach(), expected, rtol=tolerance, atol=tolerance)


def test_selections_do_not_compile_anew() -> None:
    """Whether ties are split and where the threshold lies are no part of the graph."""
    model = LayerNormMLP()
    search = EdgePopup(Source(model), 0.3)
    counter = CompileCounter()
    compiled = torch.compile(model, backend=counter)
    x = torch.randn(4, 12)
    for scale in (1.0, 0.0, -2.0):  # at 0 all are tied
        with torch.no_grad():
            for scores in search.parameters():
                scores.mul_(scale).add_(torch.randn(scores.shape) * abs(scale))
        search.step()
        torch.testing.assert_close(compiled(x), model(x))
    assert counter.frame_count == 1


def test_another_number_to_keep_counts_from_the_next_use() -> None:
    model = nn.Linear(4, 3)
    EdgePopup(Source(model))
    (group,) = {module.group for module in model.modules() if isinstance(module, Scored)}
    assert group is not None
    for keep in (2, 9):
        group.set_keep(keep)
        assert int(torch.count_nonzero(model.weight)) == keep
