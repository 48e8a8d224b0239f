"""What metadata say of a model; how commands use it is tested with them."""

from __future__ import annotations

import pytest

from tombola import ArgumentError, TicketError
from tombola.architecture import model_of, numbers, whole_number, width_of


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
