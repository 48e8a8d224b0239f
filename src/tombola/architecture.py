"""What a ticket's metadata say of the model that the ticket is for: whatever rebuilds one reads it here.

Metadata come from whoever made the file, so every value is checked, and a name that would import code
is never followed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from tombola.errors import ArgumentError, TicketError


def model_of(said: Mapping[str, str]) -> str:
    """The name of the architecture.

    Raises ArgumentError where there is none, or where it is `module:function`: code to import.
    """
    if "model" not in said:
        raise ArgumentError("the ticket names no model: give one with --model")
    if ":" in said["model"]:
        raise ArgumentError(
            f"the ticket asks to import {said['model']!r}: name it with --model if you trust that code"
        )
    return said["model"]


def width_of(said: Mapping[str, str]) -> float:
    """The architecture's width, a positive number; 1 where the metadata do not say."""
    return numbers(said, "width", 1, (1.0,))[0]


def numbers(said: Mapping[str, str], key: str, count: int, otherwise: tuple[float, ...]) -> tuple[float, ...]:
    """The `count` numbers that the metadata give under `key`, or `otherwise` where they give nothing.

    All are finite, and positive but for a "mean". Raises TicketError for anything else.
    """
    if key not in said:
        return otherwise
    try:
        found = json.loads(said[key])
        values = tuple(float(number) for number in (found if isinstance(found, list) else [found]))
    except (ValueError, TypeError):
        values = ()
    least = -math.inf if key == "mean" else 0.0
    if len(values) != count or not all(least < value < math.inf for value in values):
        raise _unusable(said, key, "a number" if count == 1 else f"{count} numbers")
    return values


def whole_number(said: Mapping[str, str], key: str) -> int | None:
    """The positive integer that the metadata give under `key`, None where they give nothing.

    Raises TicketError for anything else.
    """
    found = numbers(said, key, 1, ())
    if found and not found[0].is_integer():
        raise _unusable(said, key, "a whole number")
    return int(found[0]) if found else None


def _unusable(said: Mapping[str, str], key: str, what: str) -> TicketError:
    return TicketError(f"the ticket's metadata must give {what} as {key!r}, got {said[key]!r}")
