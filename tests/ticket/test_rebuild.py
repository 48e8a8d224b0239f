"""Rebuilding in runs: what comes after the first 2^18 weights is right, and memory stays small."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from tombola import Source, Ticket
from tombola.rng import RUN, Stream
from tombola.source.init import draw

SIZE = 2 * RUN + 100


def reference(init: str, numbers: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Every weight out of the whole stream of its generation."""
    expected = np.zeros(SIZE, dtype=np.float32)
    for generation in np.unique(numbers):
        here = (numbers == generation) & mask
        words = Stream(6, "weight", "weight", int(generation)).words(SIZE)
        expected[here] = draw(init, words, SIZE)[here]
    return expected


@pytest.mark.parametrize("init", ["signed_constant", "kaiming_normal"])
@pytest.mark.parametrize("density", [1.0, 0.8])
def test_long_tensors(init: str, density: float, tmp_path: Path) -> None:
    source = Source(nn.Linear(SIZE, 1, bias=False), seed=6, init=init, density=density)
    assert np.array_equal(
        source.weights()["weight"][0], draw(init, Stream(6, "weight", "weight").words(SIZE), SIZE)
    )
    words = Stream(0, "mask", "test").words(SIZE)
    mask = source.mask["weight"] & (words % 3 > 0)
    # Some generations are rare, so that their words are drawn one by one, the others in sequence.
    numbers = np.where(words % 64 == 0, words >> 24, words % 5).astype(np.int64)
    Ticket.from_mask(source, {"weight": mask}, {"weight": numbers[None]}).save(tmp_path / "a.tombola")
    ticket = Ticket.load(tmp_path / "a.tombola")
    ticket.verify()
    assert (ticket.redraws["weight"].dtype == np.bool_) == (init == "signed_constant")
    assert np.array_equal(ticket.weights()["weight"][0], reference(init, numbers, mask[0]))


@pytest.mark.parametrize("density", [0.5, 0.9])
def test_memory_of_loading_and_rebuilding(density: float, tmp_path: Path) -> None:
    # Twice the weights' own memory, and what drawing one run of them takes.
    source = Source(nn.Linear(2000, 1000, bias=False), init="kaiming_uniform")
    words = Stream(0, "mask", "test").words(2_000_000).reshape(1000, 2000)
    mask = {"weight": words < round(density * 2**32)}
    Ticket.from_mask(source, mask, {"weight": words % 130}).save(tmp_path / "a.tombola")
    Ticket.load(tmp_path / "a.tombola").weights()
    tracemalloc.start()
    try:
        weights = Ticket.load(tmp_path / "a.tombola").weights()["weight"]
        assert tracemalloc.get_traced_memory()[1] <= 2 * weights.nbytes + (1 << 24)
    finally:
        tracemalloc.stop()
