"""Grids and random draws of options."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from tombola.errors import ArgumentError
from tombola.experiments.sweep.combinations import drawn, listed, on_grid
from tombola.rng import Stream


def test_an_entry_of_a_list_is_a_grid_of_the_lists_in_it() -> None:
    assert listed([{"a": 1}, {"a": 2, "b": ["x", "y"], "c": [3, 4]}]) == [
        {"a": 1},
        *({"a": 2, "b": b, "c": c} for b in "xy" for c in (3, 4)),
    ]


def test_an_entry_of_a_list_without_a_value_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"'b' in \[list\] must be a list of values, got \[\]"):
        listed([{"a": 1, "b": []}])


def test_too_many_in_a_list_are_refused_before_they_are_made() -> None:
    with pytest.raises(ArgumentError, match="at most 10,000 runs"):
        listed([{"a": 1}, {name: list(range(100)) for name in "abc"}])


def test_a_grid_is_every_combination_in_order() -> None:
    assert on_grid({"a": [1, 2], "b": ["x", "y"]}) == [
        {"a": 1, "b": "x"},
        {"a": 1, "b": "y"},
        {"a": 2, "b": "x"},
        {"a": 2, "b": "y"},
    ]
    assert on_grid({}) == [{}]


def test_a_draw_is_what_its_stream_says() -> None:
    high, low = Stream(5, "lr", "sweep").words(2, start=4).tolist()
    uniform = (high * 2**32 + low) / 2**64
    found = drawn({"count": 3, "seed": 5, "lr": {"low": 0.01, "high": 1.0, "scale": "log"}})
    assert found[2]["lr"] == pytest.approx(10 ** (2 * uniform - 2), rel=1e-3)
    found = drawn({"count": 3, "seed": 5, "lr": {"low": 2.0, "high": 4.0}})
    assert found[2]["lr"] == pytest.approx(2 + 2 * uniform, rel=1e-3)
    assert drawn({"count": 3, "seed": 5, "lr": ["a", "b", "c"]})[2]["lr"] == "abc"[math.floor(3 * uniform)]


def test_more_draws_begin_with_the_same_whatever_stands_beside_them() -> None:
    table: dict[str, Any] = {"count": 5, "seed": 1, "lr": {"low": 0.1, "high": 1.0}, "width": [1, 2, 3]}
    few = drawn(table)
    assert drawn({**table, "count": 9})[:5] == few
    alone = drawn({"count": 5, "seed": 1, "width": [1, 2, 3]})
    assert [draw["width"] for draw in alone] == [draw["width"] for draw in few]
    assert drawn({**table, "seed": 2}) != few


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_ranges(scale: str) -> None:
    draws = drawn(
        {
            "count": 2000,
            "whole": {"low": 1, "high": 4, "scale": scale},
            "real": {"low": 1.0, "high": 4.0, "scale": scale},
        }
    )
    whole, real = [draw["whole"] for draw in draws], [draw["real"] for draw in draws]
    assert set(whole) == {1, 2, 3, 4}
    assert all(isinstance(value, int) for value in whole)
    assert all(1 <= value <= 4 and isinstance(value, float) for value in real)
    assert all(value == float(f"{value:.4g}") for value in real)
    # Half of the draws lie below the middle, which is the root of the product on a logarithmic scale.
    middle = {"linear": 2.5, "log": 2.0}[scale]
    assert sum(value < middle for value in real) == pytest.approx(1000, abs=100)
    assert whole.count(1) == pytest.approx({"linear": 500, "log": 2000 * math.log(2, 5)}[scale], abs=90)


def test_a_range_of_one_value() -> None:
    assert drawn({"count": 2, "lr": {"low": 0.123456, "high": 0.123456}}) == [{"lr": 0.123456}] * 2


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "count": ({"count": 0}, "count in [random] must be a whole number of at least 1, got 0"),
    "count true": ({"count": True}, "count in [random] must be a whole number of at least 1, got True"),
    "too many": ({"count": 10_001}, "a sweep has at most 10,000 runs"),
    "seed": ({"count": 1, "seed": -1}, "seed must be an integer in [0, 2^64), got -1"),
    "value": ({"count": 1, "lr": 0.1}, "'lr' in [random] must be a list of values, got 0.1"),
    "key": ({"count": 1, "lr": {"low": 1, "hihg": 2}}, "unknown key of 'lr' in [random]: 'hihg'"),
    "no high": ({"count": 1, "lr": {"low": 1}}, "high of 'lr' in [random] must be a finite number, got None"),
    "text": ({"count": 1, "lr": {"low": "1", "high": 2}}, "low of 'lr' in [random] must be a finite number"),
    "infinite": ({"count": 1, "lr": {"low": 1, "high": math.inf}}, "must be a finite number, got inf"),
    "scale": ({"count": 1, "lr": {"low": 1, "high": 2, "scale": "lin"}}, "scale of 'lr' in [random]: 'lin'"),
    "order": ({"count": 1, "lr": {"low": 2, "high": 1}}, "must have low <= high, got low 2, high 1"),
    "log of 0": (
        {"count": 1, "lr": {"low": 0, "high": 1, "scale": "log"}},
        "'lr' in [random] must have 0 < low <= high, got low 0, high 1",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str) -> None:
    table, said = REFUSED[case]
    with pytest.raises(ArgumentError, match=re.escape(said)):
        drawn(table)
    with pytest.raises(ArgumentError, match="a sweep has at most 10,000 runs, these are 1,000,000"):
        on_grid({name: list(range(100)) for name in "abc"})
