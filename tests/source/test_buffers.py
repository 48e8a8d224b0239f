"""A saved search goes on exactly for models with buffers of their own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import tombola
from tombola.sparse.base import plain_state


class Counting(nn.Module):
    """A model whose output depends on a buffer that every forward pass changes."""

    calls: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 2)
        self.norm = nn.BatchNorm1d(2, momentum=None)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        out: torch.Tensor = self.norm(self.fc(x)) * self.calls
        return out


def test_every_buffer_of_the_model_is_saved() -> None:
    model = Counting()
    search = tombola.EdgePopup(tombola.Source(model))
    for _ in range(3):
        model(torch.randn(4, 3))
    state = search.state_dict()
    assert set(state["buffers"]) == {
        "calls",
        "norm.running_mean",
        "norm.running_var",
        "norm.num_batches_tracked",
    }
    other = Counting()
    tombola.EdgePopup(tombola.Source(other)).load_state_dict(state)
    x = torch.randn(4, 3)
    assert torch.equal(model.eval()(x), other.eval()(x))
    assert other.norm.num_batches_tracked == 3


def test_a_ticket_stores_normalisation_statistics_only() -> None:
    model = Counting()
    ticket = tombola.EdgePopup(tombola.Source(model)).ticket()
    assert list(ticket.statistics) == ["norm.running_mean", "norm.running_var"]


class Cached(nn.Module):
    """A cache that grows, and that the model's own state leaves out."""

    cache: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 2)
        self.register_buffer("cache", torch.zeros(2), persistent=False)


@pytest.mark.parametrize("method", [tombola.EdgePopup, tombola.sparse.RigL])
def test_caches_are_restored_where_they_fit(method: Any) -> None:
    model, same, grown = Cached(), Cached(), Cached()
    search = method(tombola.Source(model), density=0.5)
    model.cache.fill_(3.0)
    state = search.state_dict()
    method(tombola.Source(same), density=0.5).load_state_dict(state)
    assert torch.equal(same.cache, model.cache)
    grown.cache = torch.zeros(5)  # which its model makes again
    method(tombola.Source(grown), density=0.5).load_state_dict(state)
    assert torch.equal(grown.cache, torch.zeros(5))
    if isinstance(search, tombola.Search):
        with pytest.warns(UserWarning, match="buffers that a ticket does not store have changed .*: cache"):
            search.ticket()
    else:
        assert "cache" not in plain_state(search.source)
