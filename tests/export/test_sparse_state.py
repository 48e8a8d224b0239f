"""The CSR and the ternary state dict, by their documented layout and through `densify`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from export_helpers import INITS, assert_same_bits, expected_state, ticket_of_case
from torch import nn

import tombola
from builders import CASES, LayerNormMLP
from tombola import ArgumentError, Source, Ticket
from tombola.export import densify, to_csr, to_ternary
from tombola.source.recipe import FixedTensor, RandomTensor, Recipe
from tombola.ticket.format import Contents


def saved(write: Callable[[Ticket, Path], int], ticket: Ticket, folder: Path) -> dict[str, torch.Tensor]:
    assert write(ticket, folder / "n.pt") == (folder / "n.pt").stat().st_size
    state: dict[str, torch.Tensor] = torch.load(folder / "n.pt", weights_only=True)
    return state


ROUND_TRIPS = [
    *((case, init, to_csr) for case in CASES for init in INITS),
    *((case, "signed_constant", to_ternary) for case in CASES),
]


@pytest.mark.parametrize(("case", "init", "write"), ROUND_TRIPS)
def test_densified_it_is_the_ticket_bit_for_bit(
    case: str, init: str, write: Callable[[Ticket, Path], int], tmp_path: Path
) -> None:
    ticket = ticket_of_case(case, init)
    dense = densify(saved(write, ticket, tmp_path))
    model = CASES[case].build()
    missing, unexpected = model.load_state_dict(dense, strict=case != "tied")
    assert (missing, unexpected) == (["out.weight"] if case == "tied" else [], [])
    assert dense.keys() == model.state_dict().keys() - set(missing)
    assert_same_bits(model.state_dict(), expected_state(case, ticket))


def test_a_csr_matrix_holds_the_kept_weights_alone(tmp_path: Path) -> None:
    ticket = ticket_of_case("conv")
    state = saved(to_csr, ticket, tmp_path)
    weight, mask = state["3.weight"], ticket.mask["3.weight"].reshape(6, 72)
    assert weight.layout is torch.sparse_csr
    assert weight.shape == (6, 72)
    assert (weight.crow_indices().dtype, weight.col_indices().dtype) == (torch.int32, torch.int32)
    assert weight.crow_indices().tolist() == [0, *np.cumsum(mask.sum(axis=1)).tolist()]
    assert weight.col_indices().tolist() == [column for row in mask for column in np.flatnonzero(row)]
    assert state["3.weight.shape"].tolist() == [6, 8, 3, 3]
    rebuilt = weight.to_dense().reshape(tuple(state["3.weight.shape"]))  # as documented
    assert rebuilt.numpy().tobytes() == ticket.weights()["3.weight"].tobytes()
    assert state["3.bias"].layout is torch.strided
    assert "3.bias.shape" not in state


def test_ternary_weights_times_their_scale(tmp_path: Path) -> None:
    ticket = ticket_of_case("conv", "signed_constant")
    state = saved(to_ternary, ticket, tmp_path)
    weights = ticket.weights()
    for name, values in weights.items():
        assert state[name].dtype == torch.int8
        assert set(np.unique(state[name].numpy()).tolist()) == {-1, 0, 1}
        assert (state[name + ".scale"].dtype, state[name + ".scale"].shape) == (torch.float32, ())
        assert (state[name + ".scale"] * state[name]).numpy().tobytes() == values.tobytes()
    assert state["0.weight.scale"] == np.float32(math.sqrt(2 / 27))
    assert state["0.weight"].shape == (8, 3, 3, 3)
    assert state["4.running_var"].dtype == torch.float32


@pytest.mark.parametrize("write", [to_csr, to_ternary])
def test_random_biases_and_layers_with_nothing_left(
    write: Callable[[Ticket, Path], int], tmp_path: Path
) -> None:
    source = Source(LayerNormMLP(), seed=2, bias=True)
    mask = {name: np.ones(shape, dtype=bool) for name, shape in source.shapes.items()}
    mask["fc1.weight"][:] = False
    ticket = Ticket.from_mask(source, mask)
    state = saved(write, ticket, tmp_path)
    assert state["fc1.bias"].layout is torch.strided
    model = LayerNormMLP()
    model.load_state_dict(densify(state))
    assert_same_bits(model.state_dict(), dict(ticket.apply(LayerNormMLP()).state_dict()))
    assert not dict(model.named_parameters())["fc1.weight"].any()
    assert dict(model.named_parameters())["fc1.bias"].all()


@pytest.mark.parametrize("init", ["kaiming_uniform", "kaiming_normal", "uniform"])
def test_weights_of_many_magnitudes_have_no_ternary_form(init: str, tmp_path: Path) -> None:
    ticket = tombola.EdgePopup(Source(nn.Linear(3, 4), init=init), 0.5).ticket()
    (tmp_path / "n.pt").write_bytes(b"old")
    with pytest.raises(ArgumentError, match=f"init 'signed_constant'; the ticket's is '{init}'"):
        to_ternary(ticket, tmp_path / "n.pt")
    assert (tmp_path / "n.pt").read_bytes() == b"old"


def test_what_is_dense_already_stays() -> None:
    state = CASES["conv"].build().state_dict()
    assert_same_bits(densify(state), dict(state))


@pytest.mark.parametrize("write", [to_csr, to_ternary])
def test_equal_tickets_give_equal_files(write: Callable[[Ticket, Path], int], tmp_path: Path) -> None:
    ticket = ticket_of_case("conv", "signed_constant")
    write(ticket, tmp_path / "a.pt")
    write(ticket, tmp_path / "b.pt")
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()


def odd_ticket(*names: str) -> Ticket:
    """A ticket of flat tensors under any names."""
    recipe = Recipe(0, "signed_constant", tuple(RandomTensor(name, (3,), 3) for name in names))
    redraws = {name: np.zeros(int(kept.sum()), np.uint8) for name, kept in recipe.mask().items()}
    return Ticket(Contents(recipe, recipe.mask(), redraws, {}, {}, "0" * 64))


def test_names_that_the_file_needs_itself_are_refused(tmp_path: Path) -> None:
    class Odd(nn.Module):
        """A parameter below another's name: no module of torch's own, but a ticket may say so."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2, 3))

    source = Source(Odd(), fan_in={"weight": 3.0})
    ticket = Ticket.from_mask(source, source.mask)
    for name, write in (("shape", to_csr), ("scale", to_ternary)):
        fixed = (FixedTensor(f"weight.{name}", (1,), 0.0),)
        recipe = replace(ticket.recipe, fixed=fixed)
        odd = Ticket(replace(ticket._contents, recipe=recipe))
        with pytest.raises(tombola.TicketError, match=f"has a tensor 'weight.{name}', whose name"):
            write(odd, tmp_path / "x.pt")
    flat = odd_ticket("a", "a.shape")  # of which `densify` would take the second for the first one's
    for write in (to_csr, to_ternary):
        with pytest.raises(tombola.TicketError, match="has a tensor 'a.shape', whose name"):
            write(flat, tmp_path / "x.pt")
    with pytest.raises(tombola.TicketError, match="has a tensor '__metadata__', whose name"):
        tombola.export.to_safetensors(odd_ticket("w", "__metadata__"), tmp_path / "x.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_empty_tensors_stay_dense(tmp_path: Path) -> None:
    source = Source(nn.Sequential(nn.Linear(0, 3), nn.Linear(3, 2)))
    to_csr(Ticket.from_mask(source, source.mask), tmp_path / "x.pt")
    state = torch.load(tmp_path / "x.pt", weights_only=True)
    assert state["0.weight"].layout is torch.strided
    assert densify(state)["0.weight"].shape == (3, 0)
