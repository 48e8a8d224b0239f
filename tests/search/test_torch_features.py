"""Searches under what torch does to models: autocast, cached weights, torch.func, compiling, tracing."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._dynamo.testing import CompileCounter
from torch.nn.utils import parametrize

from builders import CASES, LayerNormMLP, make_optimizer
from tombola import EdgePopup, IteRand, Source
from tombola.search.straight_through import masked_weight


def test_compiled_parts_can_be_pickled() -> None:
    model: Any = EdgePopup(Source(nn.Linear(8, 8))).source.model
    for module in model.modules():
        module.compile(backend="eager")
    again = pickle.loads(pickle.dumps(model.parametrizations))
    assert torch.equal(again.weight(), model.weight)


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


@pytest.mark.parametrize("density", [1.0, 0.6])
def test_a_searched_model_can_be_traced(density: float) -> None:
    model = LayerNormMLP()
    EdgePopup(Source(model, density=density), 0.4)
    x = torch.randn(3, 12)
    traced = torch.jit.trace(model, torch.randn(4, 12), check_trace=False)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(traced(x), model(x))
