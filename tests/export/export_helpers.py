"""What the tests of exports share: a ticket of every kind of model, and what it must come to."""

from __future__ import annotations

from functools import cache

import torch

import tombola
from builders import CASES, make_optimizer, train
from tombola import Source, Ticket

INITS = ("signed_constant", "kaiming_normal")


@cache
def ticket_of_case(case: str, init: str = "kaiming_normal") -> Ticket:
    """A trained IteRand ticket over a sparse source, with weights of several generations."""
    model = CASES[case].build()
    search = tombola.IteRand(Source(model, seed=5, init=init, density=0.7), 0.4, period=1, rate=0.3)
    train(CASES[case], model, search, make_optimizer(search), range(4))
    ticket = search.ticket()
    assert any(generations.any() for generations in ticket.redraws.values())
    return ticket


def expected_state(case: str, ticket: Ticket) -> dict[str, torch.Tensor]:
    """What a plain model's state dict must hold: the work of `Ticket.apply`, which exports do not use."""
    return dict(ticket.apply(CASES[case].build()).state_dict())


def assert_same_bits(got: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    """The same names, types, shapes and bits; -0.0 is not 0.0 here."""
    assert got.keys() == expected.keys()
    for name, tensor in expected.items():
        assert (got[name].dtype, got[name].shape) == (tensor.dtype, tensor.shape), name
        assert got[name].numpy().tobytes() == tensor.numpy().tobytes(), name
