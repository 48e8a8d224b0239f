"""Slot: generations in as few bytes as hold them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tombola import IteRand, Source


def redrawn(generation: int) -> tuple[nn.Linear, Source]:
    model = nn.Linear(6, 5, bias=False)
    source = Source(model, seed=3)
    source.redraw({"weight": torch.eye(5, 6, dtype=torch.bool)}, rate=1.0, generation=generation)
    return model, source


@pytest.mark.parametrize(
    ("generation", "dtype"), [(1, torch.uint8), (255, torch.uint8), (256, torch.int32), (70_000, torch.int32)]
)
def test_generations_are_held_in_few_bytes_and_exactly(generation: int, dtype: torch.dtype) -> None:
    _, source = redrawn(generation)
    held = source.slot("weight").generations
    assert held is not None and held.dtype == dtype
    given = source.generations()["weight"]
    assert given is not None and given.dtype == np.int32
    assert np.array_equal(given, generation * np.eye(5, 6))

    again = Source(nn.Linear(6, 5, bias=False), seed=3)
    again.restore(source.generations())
    restored = again.slot("weight").generations
    assert restored is not None and restored.dtype == dtype
    assert all(np.array_equal(one, source.weights()[name]) for name, one in again.weights().items())


def test_small_generations_give_way_to_great_ones() -> None:
    _, source = redrawn(200)
    source.redraw({"weight": torch.ones(5, 6, dtype=torch.bool).tril(-1)}, rate=1.0, generation=300)
    given = source.generations()["weight"]
    assert given is not None
    assert np.array_equal(given, 200 * np.eye(5, 6) + 300 * np.tril(np.ones((5, 6)), -1))


def test_great_generations_loaded_into_a_fresh_model_do_not_wrap_around() -> None:
    model, _ = redrawn(300)
    fresh = nn.Linear(6, 5, bias=False)
    search = IteRand(Source(fresh, seed=3), 0.5, period=1)
    assert search.source.slot("weight").generations.dtype == torch.uint8  # type: ignore[union-attr]
    fresh.load_state_dict(model.state_dict(), strict=False)
    given = search.source.generations()["weight"]
    assert given is not None and np.array_equal(given, 300 * np.eye(5, 6))
