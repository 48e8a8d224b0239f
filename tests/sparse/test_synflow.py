"""SynFlow: what flows is conserved, the iteration is the paper's, and no data has a say in it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sparse_helpers import layer_counts
from torch import nn

from builders import conv_batch_norm
from tombola import ArgumentError, Mask, Source
from tombola.sparse import synflow
from tombola.sparse.one_shot import _Flow


def relu_net(convolution: bool) -> nn.Sequential:
    if convolution:
        return nn.Sequential(
            nn.Conv2d(2, 4, 3, bias=False),
            nn.ReLU(),
            nn.Conv2d(4, 3, 3, stride=2, bias=False),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(12, 4, bias=False),
        )
    sizes = [(6, 8), (8, 5), (5, 4)]
    layers = [[nn.Linear(*size, bias=False), nn.ReLU()] for size in sizes]
    return nn.Sequential(*[module for pair in layers for module in pair][:-1])


def call_with(*shape: int) -> Callable[[nn.Module], torch.Tensor]:
    return lambda model: model(torch.randn(*shape)).sum()


@pytest.mark.parametrize(("convolution", "shape"), [(False, (3, 6)), (True, (3, 2, 7, 7))])
@pytest.mark.parametrize("density", [1.0, 0.6])
def test_synaptic_flow_is_conserved(convolution: bool, shape: tuple[int, ...], density: float) -> None:
    """Tanaka et al. 2020, theorem 1 (what flows into a neuron flows out) and 2 (each layer has it all)."""
    source = Source(relu_net(convolution), seed=1, init="kaiming_normal", density=density)
    weights: dict[str, torch.Tensor] = {name: source.parameter(name) for name in source.names}
    whole = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()}
    scores = [*_Flow(source.model, weights, call_with(*shape)).scores(whole).values()]
    assert all(bool((score >= 0).all()) for score in scores)
    sums = torch.stack([score.sum() for score in scores])
    torch.testing.assert_close(sums, sums[:1].expand(3))
    for before, after in pairwise(scores):
        into = before.reshape(before.shape[0], -1).sum(1)
        # After the flattening four positions belong to one channel.
        out = after.reshape(after.shape[0], before.shape[0], -1).sum((0, 2))
        torch.testing.assert_close(into, out)


@pytest.mark.parametrize("density", [1.0, 0.7])
@pytest.mark.parametrize("scope", ["layer", "global"])
def test_synflow_against_another_implementation(density: float, scope: str) -> None:
    rounds, final = 7, 0.3
    source = Source(relu_net(False), seed=2, init="kaiming_normal", density=density)
    alive = [array.copy() for array in source.mask.values()]
    weights = [np.abs(array).astype(np.float64) for array in source.weights().values()]
    masks = [array.copy() for array in alive]
    for number in range(1, rounds + 1):
        layers = [w * m for w, m in zip(weights, masks, strict=True)]
        inputs = [np.ones(6)]
        for layer in layers:
            inputs.append(layer @ inputs[-1])
        back = np.ones(4)
        scores: list[npt.NDArray[np.float64]] = []
        for layer, given in zip(reversed(layers), reversed(inputs[:-1]), strict=True):
            scores.insert(0, layer * np.outer(back, given))
            back = layer.T @ back
        target = source.density * (final / source.density) ** (number / rounds)
        counts = [round(target / source.density * int(a.sum())) for a in alive]
        ranks = [np.where(m, s, -1.0).ravel() for m, s in zip(masks, scores, strict=True)]
        if scope == "global":
            flat = np.concatenate(ranks)
            best = np.zeros(flat.size, dtype=bool)
            best[np.argsort(-flat, kind="stable")[: sum(counts)]] = True
            parts = np.split(best, np.cumsum([rank.size for rank in ranks])[:-1])
        else:
            parts = [np.zeros(rank.size, dtype=bool) for rank in ranks]
            for part, rank, count in zip(parts, ranks, counts, strict=True):
                part[np.argsort(-rank, kind="stable")[:count]] = True
        masks = [part.reshape(m.shape) for part, m in zip(parts, masks, strict=True)]
    found = synflow(source, final, call_with(2, 6), rounds=rounds, scope=scope)
    assert found == Mask(dict(zip(source.names, masks, strict=True)))


def test_synflow_loses_no_layer_where_one_shot_would() -> None:
    # One great layer and one small: at once, all of the small one's weights would go.
    model = nn.Sequential(nn.Linear(40, 40, bias=False), nn.Linear(40, 1, bias=False))
    source = Source(model, init="kaiming_normal")
    counts = layer_counts(source, synflow(source, 0.02, call_with(1, 40)))
    assert min(counts.values()) > 0


@pytest.mark.parametrize("training", [True, False])
def test_synflow_depends_on_no_data(training: bool) -> None:
    source = Source(conv_batch_norm(), init="kaiming_normal")
    source.model.train(training)
    small = synflow(source, 0.3, lambda model: model(torch.rand(4, 3, 8, 8)).sum(), rounds=3)
    large = synflow(source, 0.3, lambda model: model(100 * torch.rand(2, 3, 8, 8)).sum(), rounds=3)
    assert small.digest == large.digest


def two_outputs() -> nn.Module:
    class Two(nn.Linear):
        def forward(self, x: torch.Tensor) -> Any:
            return super().forward(x), x

    return Two(4, 4)


@pytest.mark.parametrize(
    ("make_model", "loss", "options", "message"),
    [
        (lambda: nn.Linear(4, 4), lambda model: torch.ones(()), {}, "loss must call the model it is given"),
        (two_outputs, lambda model: model(torch.ones(1, 4))[0].sum(), {}, "gives one tensor, got tuple"),
        (lambda: nn.Linear(4, 4), call_with(1, 4), {"rounds": 0}, "rounds is a whole number of at least 1"),
        (lambda: nn.Linear(4, 4), call_with(1, 4), {"rounds": 2.5}, "rounds is a whole number of at least 1"),
    ],
)
def test_what_synflow_refuses(
    make_model: Callable[[], nn.Module], loss: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        synflow(Source(make_model()), 0.5, loss, **options)
