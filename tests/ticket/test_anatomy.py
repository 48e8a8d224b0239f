"""Where a ticket's bytes go: counts that can be checked by hand, and bits that add up to the file."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from tombola import Source, Ticket
from tombola.ticket.anatomy import anatomy
from tombola.ticket.container import unpack


def test_by_hand() -> None:
    source = Source(nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 2)), init="uniform")
    first = np.zeros((4, 8), dtype=bool)
    first[:, :2] = True
    generations = {"0.weight": np.where(np.arange(32).reshape(4, 8) < 16, 5, 0)}
    ticket = Ticket.from_mask(source, {"0.weight": first, "1.weight": np.ones((2, 4), bool)}, generations)
    layer, whole = anatomy(ticket)
    assert (layer.name, layer.shape, layer.weights, layer.alive, layer.kept) == (
        "0.weight",
        (4, 8),
        32,
        32,
        8,
    )
    assert (layer.redraws, layer.flips) == (2, 0)
    assert layer.mask_bits == pytest.approx(32 * 0.8112781)  # the entropy of a quarter
    assert layer.redraw_bits == 8  # four of generation 0, four of 5
    assert layer.count_bits == 8 * 7  # kept, two runs of gap and length, 4 more than 0
    assert layer.bits_per_weight == layer.bits / 32
    assert (whole.kept, whole.redraws, whole.mask_bits, whole.redraw_bits) == (8, 1, 0, 0)


@pytest.mark.parametrize("init", ["signed_constant", "kaiming_normal"])
def test_the_bits_are_those_of_the_file(init: str, tmp_path: object) -> None:
    source = Source(nn.Linear(300, 200), init=init, density=0.6)
    some = {"weight": np.arange(60_000).reshape(200, 300) % 7}
    mask = {"weight": source.mask["weight"] & (np.arange(300) % 3 > 0)}
    ticket = Ticket.from_mask(source, mask, some)
    (layer,) = anatomy(ticket)
    arrays, _ = unpack(ticket._bytes)
    assert layer.alive == source.mask.kept
    assert (layer.flips > 0) == (init == "signed_constant")
    coded = arrays["code"].nbytes + arrays["counts"].nbytes
    assert layer.bits / 8 == pytest.approx(coded, rel=2e-3, abs=8)
