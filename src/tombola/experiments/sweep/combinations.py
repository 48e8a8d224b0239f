"""Which values a sweep gives to the options that vary: every point of a grid, a list, or random draws."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, Literal, get_args

from tombola.errors import ArgumentError, unknown
from tombola.rng import Stream, check_seed

Options = dict[str, Any]
Scale = Literal["linear", "log"]
# More is a slip, and would take minutes to check.
MOST = 10_000


def on_grid(values: Mapping[str, Any]) -> list[Options]:
    """Every combination of one value for each option, the last option varying fastest.

    >>> on_grid({"width": [0.5, 1.0], "lr": [0.1]})
    [{'width': 0.5, 'lr': 0.1}, {'width': 1.0, 'lr': 0.1}]

    Raises ArgumentError where an option has no list of values, or where there are too many combinations.
    """
    for name, choices in values.items():
        _check_choices(name, choices, "grid")
    check_number(math.prod(len(choices) for choices in values.values()))
    return [dict(zip(values, point, strict=True)) for point in product(*values.values())]


def listed(tables: Sequence[Mapping[str, Any]]) -> list[Options]:
    """What each table gives, one after the other; an option with a list of values stands for every one.

    >>> listed([{"method": "dense"}, {"method": "static", "rule": ["erk", "balanced"]}])
    [{'method': 'dense'}, {'method': 'static', 'rule': 'erk'}, {'method': 'static', 'rule': 'balanced'}]

    Raises ArgumentError where such a list is empty, or there are too many combinations.
    """
    found: list[Options] = []
    for table in tables:
        choices = {name: value if isinstance(value, list) else [value] for name, value in table.items()}
        for name, values in choices.items():
            _check_choices(name, values, "list")
        check_number(len(found) + math.prod(len(values) for values in choices.values()))
        found += [dict(zip(choices, point, strict=True)) for point in product(*choices.values())]
    return found


def drawn(table: Mapping[str, Any]) -> list[Options]:
    """`count` random combinations, drawn from `seed`.

    An option has a list of choices, or a table {low=, high=, scale="linear" or "log"}: whole numbers from low
    to high where both are whole, else numbers of four significant digits. Draw i of an option depends on
    the seed, the option's name and i alone, so that a greater count adds to the same draws.

    Raises ArgumentError for a table that says something else.
    """
    options = dict(table)
    count, seed = options.pop("count", None), check_seed(options.pop("seed", 0))
    if type(count) is not int or count < 1:
        raise ArgumentError(f"count in [random] must be a whole number of at least 1, got {count!r}")
    check_number(count)
    for name, choices in options.items():
        if isinstance(choices, dict):
            _check_range(name, choices)
        else:
            _check_choices(name, choices, "random")
    return [{name: _draw(seed, name, choices, i) for name, choices in options.items()} for i in range(count)]


def check_number(count: int) -> None:
    """Raise ArgumentError for more combinations than a sweep may have."""
    if count > MOST:
        raise ArgumentError(f"a sweep has at most {MOST:,} runs, these are {count:,}")


def _draw(seed: int, name: str, choices: Sequence[Any] | Mapping[str, Any], index: int) -> Any:
    high, low = (int(word) for word in Stream(seed, name, "sweep").words(2, start=2 * index))
    uniform = ((high << 32 | low) >> 11) / (1 << 53)
    if not isinstance(choices, Mapping):
        return choices[int(uniform * len(choices))]
    least, greatest = choices["low"], choices["high"]
    whole = isinstance(least, int) and isinstance(greatest, int)
    end = greatest + 1 if whole else greatest
    if choices.get("scale", "linear") == "log":
        value = math.exp(math.log(least) + uniform * (math.log(end) - math.log(least)))
    else:
        value = least + uniform * (end - least)
    # Four digits: libraries differ in a logarithm's last bit, and names of folders stay short.
    value = math.floor(value) if whole else float(f"{value:.4g}")
    return min(max(value, least), greatest)


def _check_choices(name: str, choices: Any, table: str) -> None:
    if not isinstance(choices, list) or not choices:
        raise ArgumentError(f"{name!r} in [{table}] must be a list of values, got {choices!r}")


def _check_range(name: str, given: Mapping[str, Any]) -> None:
    for key in given:
        if key not in ("low", "high", "scale"):
            raise unknown(f"key of {name!r} in [random]:", key, ("low", "high", "scale"))
    low, high, scale = given.get("low"), given.get("high"), given.get("scale", "linear")
    for key, value in (("low", low), ("high", high)):
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
            raise ArgumentError(f"{key} of {name!r} in [random] must be a finite number, got {value!r}")
    if scale not in get_args(Scale):
        raise unknown(f"scale of {name!r} in [random]:", scale, get_args(Scale))
    assert isinstance(low, (int, float))
    assert isinstance(high, (int, float))
    if low > high or (scale == "log" and low <= 0):
        expected = "0 < low <= high" if scale == "log" else "low <= high"
        raise ArgumentError(f"{name!r} in [random] must have {expected}, got low {low!r}, high {high!r}")
