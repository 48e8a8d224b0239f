"""Where the options of a run are taken from to run it again: a config.toml, or a ticket's metadata."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TypeVar

from tombola import ticket as tickets
from tombola.errors import ArgumentError, unknown
from tombola.experiments.config import NONE, RunConfig
from tombola.experiments.search_config import SearchConfig

# After the 8 bytes with its length every ticket's header begins so (docs/format.md).
_BEGINNING = b'{"__metadata__":'
Config = TypeVar("Config", bound=RunConfig)


def read_config(kind: type[Config], path: Path) -> Config:
    """The configuration in `path`: a config.toml, or a ticket that a search has written.

    Raises what `from_toml` and `Ticket.load` raise; ArgumentError for a ticket that names no settings,
    that names other options than these, or whose model is code to import or data a folder.
    """
    if not is_ticket(path):
        return kind.from_toml(path)
    try:
        settings = json.loads(tickets.Ticket.load(path).metadata["settings"])
        values = {name: NONE if value is None else value for name, value in settings.items()}
    except (KeyError, ValueError, AttributeError, RecursionError):
        raise ArgumentError(f"{path} does not say with what settings it was found") from None
    # A stranger's ticket says what to compute, not where to read, to write, or to import from.
    for name in values:
        if name not in SearchConfig().settings():
            raise unknown(f"setting in {path}:", name, SearchConfig().settings())
    if ":" in str(values.get("model")):
        raise ArgumentError(f"{path} asks to import {values['model']!r:.80}: give its options one by one")
    if not re.fullmatch("[A-Za-z0-9_-]+", str(values.get("data", "digits"))):
        raise ArgumentError(
            f"{path} names a folder of data, {values['data']!r:.80}: give its options one by one"
        )
    if "source_mask" in values and values["source_mask"] != NONE:
        raise ArgumentError(
            f"{path} was found in a source of a mask of its own ({values['source_mask']!r:.80}): give its "
            "options one by one, and the mask as --source-mask"
        )
    return kind.from_values({"command": "search", **values}, path)


def is_ticket(path: Path) -> bool:
    """Whether the file begins as a ticket does."""
    try:
        with path.open("rb") as file:
            return file.read(8 + len(_BEGINNING))[8:] == _BEGINNING
    except OSError:
        return False  # whoever reads it next says why
