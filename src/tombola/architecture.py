"""What a ticket's metadata say of the model that the ticket is for: whatever rebuilds one reads it here.

Metadata come from whoever made the file, so every value is checked, and a name that would import code
is never followed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING

from tombola.errors import ArgumentError, TicketError
from tombola.theory.layout import KEY
from tombola.ticket import Ticket

if TYPE_CHECKING:
    from torch import nn

LARGEST = 1 << 24
"""Beyond this no number of channels, classes or pixels is believed."""


def plain_model(
    ticket: Ticket, name: str, *, width: float, in_channels: int, classes: int, image_size: int
) -> nn.Module:
    """A fresh model of the architecture `name`, which fits the ticket.

    One of the library's own is first laid out without memory: metadata may ask for a network of any size.
    Raises TicketError where it does not fit, ArgumentError where it cannot be built.
    """
    from tombola import models

    laid_out = skeleton(name, width=width, in_channels=in_channels, classes=classes, image_size=image_size)
    if ":" in name:
        return laid_out
    ticket.check_fits(laid_out)
    return models.build(name, width=width, in_channels=in_channels, classes=classes, image_size=image_size)


def skeleton(name: str, *, width: float, in_channels: int, classes: int, image_size: int) -> nn.Module:
    """The architecture `name` on torch's meta device: shapes without memory and without random draws.

    A model of the user's own, `module:function`, is built as it is: its code may need values.
    Raises ArgumentError, one line, where it cannot be built.
    """
    import torch

    from tombola import models

    where = nullcontext() if ":" in name else torch.device("meta")
    try:
        with where:
            return models.build(
                name, width=width, in_channels=in_channels, classes=classes, image_size=image_size
            )
    except (RuntimeError, TypeError, OverflowError, MemoryError) as error:
        what = (str(error).strip() or type(error).__name__).splitlines()[0][:120]
        raise ArgumentError(f"model {name!r} cannot be built with width {width:g}: {what}") from error


def model_of(said: Mapping[str, str]) -> str:
    """The name of the architecture.

    Raises ArgumentError where there is none, or where it is `module:function`: code to import.
    """
    refuse_construction(said)
    if "model" not in said:
        raise ArgumentError("the ticket names no model: give one with --model")
    if ":" in said["model"]:
        raise ArgumentError(
            f"the ticket asks to import {said['model']!r:.80}: name it with --model if you trust that code"
        )
    return said["model"]


def refuse_construction(said: Mapping[str, str]) -> None:
    """Raise ArgumentError for a constructed ticket, which is of no architecture that has a name; the message
    says what gives its network.
    """
    if KEY in said and "model" not in said:
        raise ArgumentError(
            "the ticket is a construction, of no architecture that has a name: in Python "
            "tombola.theory.model_of(ticket) gives its network"
        )


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
    except (ValueError, TypeError, RecursionError, OverflowError):
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
    if found and not (found[0].is_integer() and found[0] <= LARGEST):
        raise _unusable(said, key, f"a whole number up to {LARGEST}")
    return int(found[0]) if found else None


def _unusable(said: Mapping[str, str], key: str, what: str) -> TicketError:
    return TicketError(f"the ticket's metadata must give {what} as {key!r}, got {said[key]!r:.80}")
