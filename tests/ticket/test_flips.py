"""Sign flips stand for generations where they are shorter, and only there: the same network either way."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from tombola import Source, Ticket

SHAPE = (40, 50)


def ticket_of(init: str, generations: np.ndarray, **options: float) -> tuple[Source, Ticket]:
    source = Source(nn.Linear(50, 40), seed=4, init=init, **options)  # type: ignore[arg-type]
    mask = {"weight": source.mask["weight"] & (np.arange(50) % 2 == 0)}
    return source, Ticket.from_mask(source, mask, {"weight": generations})


def some_redrawn() -> np.ndarray:
    return np.arange(2000).reshape(SHAPE) % 7


@pytest.mark.parametrize("options", [{}, {"density": 0.6}, {"fan_density": 0.5}])
def test_flips_give_the_same_weights_as_generations(options: dict[str, float]) -> None:
    source, ticket = ticket_of("signed_constant", some_redrawn(), **options)
    assert ticket.redraws["weight"].dtype == np.bool_
    source.restore({"weight": some_redrawn().astype(np.int32)})
    expected = np.where(ticket.mask["weight"], source.weights()["weight"], 0)
    assert np.array_equal(ticket.weights()["weight"], expected)
    first = Source(nn.Linear(50, 40), seed=4).weights()["weight"]
    flipped = (np.sign(expected) != np.sign(first))[ticket.mask["weight"]]
    assert np.array_equal(ticket.redraws["weight"], flipped)
    ticket.verify()


@pytest.mark.parametrize("init", ["kaiming_uniform", "kaiming_normal", "uniform"])
def test_other_distributions_keep_generations(init: str) -> None:
    _, ticket = ticket_of(init, some_redrawn())
    assert np.array_equal(ticket.redraws["weight"], some_redrawn()[ticket.mask["weight"]])


def test_generations_stay_where_they_are_shorter() -> None:
    # All of one generation costs nothing; which half of the signs that flips costs a bit a weight.
    _, ticket = ticket_of("signed_constant", np.full(SHAPE, 3))
    assert ticket.redraws["weight"].dtype == np.uint8
    assert (ticket.redraws["weight"] == 3).all()


def test_redraws_that_flip_nothing_are_generation_0() -> None:
    first = Source(nn.Linear(50, 40), seed=4)
    before = first.weights()["weight"]
    first.restore({"weight": np.full(SHAPE, 1, dtype=np.int32)})
    same = (before == first.weights()["weight"]).astype(np.int32)
    ticket = ticket_of("signed_constant", same)[1]
    assert same.any()
    assert not ticket.redraws["weight"].any()
    untouched = Ticket.from_mask(Source(nn.Linear(50, 40), seed=4), ticket.mask)
    assert ticket == untouched
