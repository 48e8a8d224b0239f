"""What seeds and masks mean must never change: digests of networks, pinned.

A digest covers the random streams, the distributions, fan-ins, fan scaling, the Erdős–Rényi mask,
initial scores, selection, redraws and biases. Whoever has to change a line here breaks every ticket made.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

import tombola
from builders import CASES, INITS, conv_batch_norm
from tombola import Source, Ticket
from tombola.rng import Stream

MIXED = {
    "signed_constant": "3dc3461c91373e40f34525ab2d6707dd205176b8f077f5a52eec8f6bf6bc5cb3",
    "kaiming_uniform": "53323cd3329d23965b05cc7158927903b2865b4f757f7516af13918bfe7bb5db",
    "kaiming_normal": "3b38f9c3c3fd3cdb58c2528d2055ae2da59ecb4fc058d0dbfefa5eab68897fa1",
    "uniform": "e7fe54085a633518d3567105de3671326f6e2209be10e8659323edfdc244dbaa",
}
STARTS = {
    "mlp": "b8e0b8dd18b8280c1e078a6083d76f4dbb5a58f9ac0b75002e4a285405643eff",
    "conv": "49200890b1496ac63a4d75f28301664e2d3c7e394fc6882eca3099e7d4087b22",
    "grouped": "aaf6dca07282bd08cc4af4a7aafbd4e73726e2abf44aa79d2077fb7a70afad81",
    "attention": "3a698d5d19de096ab239f42cbd80285be99a9913dde81e2859cf4b46208c27f0",
    "tied": "3e39575a3034a7f12edd75813eb2b91c641a9f2eeb4852b17a02b6930eea14b0",
}


def mixed_ticket(init: str) -> Ticket:
    """An ER source with biases and fan scaling; generations far beyond one byte."""
    source = Source(
        conv_batch_norm(), seed=2**63, init=init, density=0.6, bias=True, fan_density={"3.weight": 0.25}
    )
    mask, generations = {}, {}
    for name, alive in source.mask.items():
        stream = Stream(1, name, "golden")
        mask[name] = alive & stream.bernoulli(alive.size, 0.5).reshape(alive.shape)
        generations[name] = (stream.integers(alive.size, 3) * 300).reshape(alive.shape)
    return Ticket.from_mask(source, mask, generations)


@pytest.mark.parametrize("init", INITS)
def test_networks(init: str) -> None:
    assert mixed_ticket(init).digest == MIXED[init]


@pytest.mark.parametrize("kind", CASES)
def test_starts_of_searches_with_a_redraw(kind: str) -> None:
    source = Source(CASES[kind].build(), seed=5, init="kaiming_uniform", density=0.8, bias=True)
    search = tombola.IteRand(source, 0.5, period=1, rate=0.3, scope="global")
    search.step()  # redraws without any training
    with torch.no_grad():
        for scores in search.parameters():
            scores.neg_()  # so that redrawn weights are kept
    ticket = search.ticket()
    assert any(np.any(values == 1) for values in ticket.redraws.values())
    assert ticket.digest == STARTS[kind]
