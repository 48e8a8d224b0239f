"""What metadata say of a model; how commands use it is tested with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders import LayerNormMLP
from commands import write_module
from tombola import ArgumentError, Source, Ticket, TicketError
from tombola.architecture import model_of, numbers, plain_model, skeleton, whole_number, width_of


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


SHAPES = {"in_channels": 3, "classes": 10, "image_size": 32}


def test_a_skeleton_takes_no_memory() -> None:
    parameters = dict(skeleton("mlp", width=1e6, **SHAPES).named_parameters())
    assert {parameter.device.type for parameter in parameters.values()} == {"meta"}
    assert parameters["fc2.weight"].shape == (256_000_000, 256_000_000)


@pytest.mark.parametrize("width", [1e12, 1e30, 1e308])
def test_a_skeleton_beyond_what_torch_can_number(width: float) -> None:
    with pytest.raises(ArgumentError, match="model 'mlp' cannot be built with width 1e") as caught:
        skeleton("mlp", width=width, **SHAPES)
    assert len(str(caught.value).splitlines()) == 1


def test_an_error_without_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("tombola.models.build", exhausted)
    with pytest.raises(ArgumentError, match="model 'mlp' cannot be built with width 1: MemoryError$"):
        skeleton("mlp", width=1.0, **SHAPES)


def test_the_skeleton_of_a_model_of_ones_own_is_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its code may read what it has drawn, which nothing on the meta device lets it do."""
    text = """
import torch
def build(width, in_channels, classes):
    model = torch.nn.Linear(in_channels, classes)
    assert model.weight.abs().sum().item() > 0
    return model
"""
    write_module(monkeypatch, tmp_path, "reads_its_weights", text)
    made = skeleton("reads_its_weights:build", width=1.0, **SHAPES)
    assert {parameter.device.type for parameter in made.parameters()} == {"cpu"}
