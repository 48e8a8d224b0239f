"""Where the options of a run are taken from to run it again: a config.toml, or a ticket's metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

from tombola.errors import ArgumentError
from tombola.experiments.config import NONE, RunConfig
from tombola.ticket import Ticket

Config = TypeVar("Config", bound=RunConfig)


def read_config(kind: type[Config], path: Path) -> Config:
    """The configuration in `path`: a config.toml, or a ticket (.tombola) that a search has written.

    Raises what `from_toml` and `Ticket.load` raise; ArgumentError for a ticket that names no settings, or
    whose model is code to import: a stranger's ticket is not followed there.
    """
    if path.suffix != ".tombola":
        return kind.from_toml(path)
    try:
        settings = json.loads(Ticket.load(path).metadata["settings"])
        values = {name: NONE if value is None else value for name, value in settings.items()}
    except (KeyError, ValueError, AttributeError):
        raise ArgumentError(f"{path} does not say with what settings it was found") from None
    if ":" in str(values.get("model")):
        raise ArgumentError(f"{path} asks to import {values['model']!r}: give its options one by one")
    return kind.from_values({"command": "search", **values}, path)
