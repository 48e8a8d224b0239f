"""What metadata say of a model; how commands use it is tested with them."""

from __future__ import annotations

import pytest

from builders import LayerNormMLP
from tombola import ArgumentError, Source, Ticket, TicketError
from tombola.architecture import model_of, numbers, plain_model, whole_number, width_of


def test_what_metadata_say() -> None:
    said = {"model": "mlp", "width": "0.5", "classes": "10", "mean": "[-1, 0.5]"}
    assert model_of(said) == "mlp"
    assert width_of(said) == 0.5
    assert whole_number(said, "classes") == 10
    assert numbers(said, "mean", 2, ()) == (-1.0, 0.5)


def test_what_they_leave_out() -> None:
    assert width_of({}) == 1.0
    assert whole_number({}, "classes") is None
    assert numbers({}, "std", 1, (0.3,)) == (0.3,)
    with pytest.raises(ArgumentError, match="names no model: give one with --model"):
        model_of({})


def test_code_is_not_followed() -> None:
    with pytest.raises(ArgumentError, match="asks to import 'os:getcwd': name it with --model"):
        model_of({"model": "os:getcwd"})


@pytest.mark.parametrize("value", ["1.5", "0", "-3", "ten", "", "[1, 2]", "null", "NaN", "Infinity"])
def test_what_is_no_positive_whole_number(value: str) -> None:
    with pytest.raises(TicketError, match="metadata must give a .*number.* as 'classes', got "):
        whole_number({"classes": value}, "classes")


def test_a_vast_model_is_refused_before_it_takes_memory() -> None:
    source = Source(LayerNormMLP())
    ticket = Ticket.from_mask(source, source.mask)
    shapes = {"in_channels": 3, "classes": 10, "image_size": 32}
    with pytest.raises(TicketError, match="for another architecture: the model's parameter 'conv1"):
        plain_model(ticket, "conv6", width=1e5, **shapes)
    with pytest.raises(ArgumentError, match="model 'conv6' cannot be built with width 1e.15"):
        plain_model(ticket, "conv6", width=1e15, **shapes)
