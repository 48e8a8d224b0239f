"""SignedSupermask beyond the laws: its redraws and its gradient, an independent reference, rejections."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from builders import CASES, LayerNormMLP, make_optimizer, train
from tombola import ArgumentError, EdgePopup, Geometric, SignedSupermask, Source


def signs(tensor: torch.Tensor) -> torch.Tensor:
    return torch.signbit(tensor.detach())


def agreement(search: SignedSupermask) -> float:
    """The fraction of pruned, alive weights that have their score's sign."""
    right = total = 0
    for name, pruned in search.pruned().items():
        here = pruned & torch.tensor(search.source.mask[name])
        same = signs(search.scores[name]) == signs(search.source.parameter(name))
        right, total = right + int((here & same).sum()), total + int(here.sum())
    return right / total


@pytest.mark.parametrize("init", ["signed_constant", "kaiming_uniform"])
def test_scores_start_as_edge_popups_with_the_signs_of_the_weights(init: str) -> None:
    search = SignedSupermask(Source(LayerNormMLP(), seed=3, init=init, density=0.7), 0.4)
    plain = EdgePopup(Source(LayerNormMLP(), seed=3, init=init, density=0.7), 0.4, absolute=True)
    assert search.mask == plain.mask
    assert agreement(search) == 1
    for name, scores in search.scores.items():
        assert torch.equal(scores.abs(), plain.scores[name].abs())


def test_redraws_are_of_pruned_weights_with_another_sign_than_their_scores() -> None:
    case = CASES["mlp"]
    model = case.build()
    search = SignedSupermask(Source(model, seed=3, init="kaiming_uniform", density=0.8), 0.4, period=2)
    optimizer, source, redrawn = make_optimizer(search), search.source, 0
    for step in range(8):
        before, earlier = source.weights(), source.generations()
        train(case, model, search, optimizer, range(step, step + 1))
        mask, full = search.mask, (step + 1) % 2 == 0
        for tensor in source.recipe.tensors:
            name = tensor.name
            wrong = np.signbit(before[name]) != np.signbit(search.scores[name].detach().numpy())
            due = full & wrong & ~mask[name] & source.mask[name]
            now = source.generations()[name]
            assert now is not None
            assert np.array_equal(now != earlier[name], due)
            drawn = source.recipe.redrawn(tensor, (step + 1) // 2, np.flatnonzero(due))
            expected = before[name].copy()
            expected[due] = drawn
            assert source.weights()[name].tobytes() == expected.tobytes()
            redrawn += int(due.sum())
    assert redrawn > 20


def test_pruned_weights_come_to_have_the_signs_of_their_scores() -> None:
    search = SignedSupermask(Source(LayerNormMLP(), seed=3), 0.4)
    with torch.no_grad():
        for scores in search.scores.values():
            scores.neg_()  # all are wrong
    search.select()
    assert agreement(search) == 0
    found = []
    for _ in range(25):
        search.step()
        found.append(agreement(search))
    assert 0.4 < found[0] < 0.6  # half of all draws have the sign asked for
    assert found == sorted(found)
    assert found[-1] == 1


@pytest.mark.parametrize("lr", [0.02, 0.5])
def test_against_a_network_written_out(lr: float) -> None:
    """Weights c · (sign held) where |s| is among the greatest; a sign follows its score's while pruned."""
    model = nn.Sequential(nn.Linear(12, 16, bias=False), nn.ReLU(), nn.Linear(16, 4, bias=False))
    search = SignedSupermask(Source(model, seed=5), 0.75)
    latent = {name: scores.detach().clone() for name, scores in search.scores.items()}
    held = {name: s.sign() for name, s in latent.items()}
    scale = {name: float(search.source.parameter(name).abs().max()) for name in latent}
    ours = torch.optim.SGD(search.parameters(), lr=lr, momentum=0.9)
    theirs = torch.optim.SGD(latent.values(), lr=lr, momentum=0.9)
    generator = torch.Generator().manual_seed(0)
    followed = kept_wrong = 0
    for step in range(1, 61):
        x, y = torch.randn(8, 12, generator=generator), torch.randint(4, (8,), generator=generator)
        weights = {}
        for name, s in latent.items():
            cut = s.abs().flatten().kthvalue(s.numel() - round(0.75 * s.numel())).values
            kept = s.abs() > cut
            weights[name] = (held[name] * kept * scale[name]).requires_grad_()
            kept_wrong += int((kept & (held[name] != s.sign())).sum())
        first, second = weights.values()
        loss = nn.functional.cross_entropy(torch.relu(x @ first.T) @ second.T, y)
        loss.backward()  # type: ignore[no-untyped-call]
        for name, s in latent.items():
            gradient = weights[name].grad
            assert gradient is not None
            s.grad = gradient * held[name] * scale[name] * s.sign()  # |s| is the worth of the weight held
        theirs.step()
        ours.zero_grad()
        out = model(x)
        nn.functional.cross_entropy(out, y).backward()  # type: ignore[no-untyped-call]
        assert torch.allclose(nn.functional.cross_entropy(out, y), loss, rtol=1e-4, atol=1e-6)
        ours.step()
        search.step()
        for tensor in search.source.recipe.tensors:
            s, name = latent[tensor.name], tensor.name
            cut = s.abs().flatten().kthvalue(s.numel() - round(0.75 * s.numel())).values
            drawn = torch.from_numpy(search.source.recipe.redrawn(tensor, step, np.arange(tensor.size)))
            due = (s.abs() <= cut) & (held[name] != s.sign())
            held[name] = torch.where(due, drawn.view(tensor.shape).sign(), held[name])
            followed += int(due.sum())
            assert torch.equal(search.source.parameter(name).sign(), held[name])
    assert followed > 5
    assert (kept_wrong > 5) == (lr == 0.5)  # large steps jump over where weights are pruned


def test_without_absolute_scores_it_is_edge_popup() -> None:
    case = CASES["conv"]
    tickets = []
    for make in (lambda s: SignedSupermask(s, 0.4, absolute=False), lambda s: EdgePopup(s, 0.4)):
        model = case.build()
        search = make(Source(model, seed=3))
        train(case, model, search, make_optimizer(search), range(4))
        tickets.append(search.ticket())
    assert tickets[0] == tickets[1]


def test_a_ticket_takes_no_more_than_mask_and_signs() -> None:
    model = nn.Sequential(nn.Linear(200, 300, bias=False), nn.ReLU(), nn.Linear(300, 10, bias=False))
    search = SignedSupermask(Source(model, seed=5), 0.8)
    generator = torch.Generator().manual_seed(0)
    for _ in range(40):
        with torch.no_grad():
            for scores in search.scores.values():
                scores.add_(0.3 * torch.randn(scores.shape, generator=generator) * scores.std())
        search.step()
    entropy = -(0.8 * np.log2(0.8) + 0.2 * np.log2(0.2))
    ticket = search.ticket()
    assert ticket.nbytes < 63_000 / 8 * (entropy + 0.8) + 500  # and the names, shapes and densities
    assert all(redraws.dtype == np.bool_ and redraws.any() for redraws in ticket.redraws.values())


def test_a_score_that_jumps_over_zero_leaves_its_weight_as_it_is() -> None:
    search = SignedSupermask(Source(LayerNormMLP(), seed=3), 0.4)
    name, scores = next(iter(search.scores.items()))
    kept = torch.from_numpy(search.mask[name].copy())
    before = search.source.weights()[name]
    with torch.no_grad():
        scores[kept] *= -1
    search.step()
    assert np.array_equal(search.mask[name], kept.numpy())
    assert np.array_equal(search.source.weights()[name][kept], before[kept])


@pytest.mark.parametrize(("options", "density"), [({}, 1.0), ({"density": 0.5}, 0.5)])
def test_rejects_a_density_at_which_nothing_is_pruned(options: dict[str, Any], density: float) -> None:
    with pytest.raises(
        ArgumentError, match=f"density {density} prunes nothing of the source: a signed super"
    ):
        SignedSupermask(source := Source(LayerNormMLP(), **options), density)
    SignedSupermask(source, density, absolute=False)  # which is as it was


def test_a_density_may_fall_from_all_that_is_alive() -> None:
    search = SignedSupermask(Source(LayerNormMLP()), Geometric(1.0, 0.5, steps=4, levels=2))
    for _ in range(4):
        search.step()
    assert search.mask.density == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("period", [0, -1, 1.5, True, None, "2"])
def test_rejects_a_period_that_is_no_number_of_steps(period: Any) -> None:
    with pytest.raises(ArgumentError, match="period is a number of optimiser steps, at least 1, got"):
        SignedSupermask(Source(LayerNormMLP()), period=period)
