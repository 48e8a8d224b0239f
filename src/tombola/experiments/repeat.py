"""Where the options of a run are taken from: a config.toml, a ticket's metadata, or settings with a name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

from tombola import ticket as tickets
from tombola.data.names import NAMES
from tombola.errors import ArgumentError, unknown
from tombola.experiments.config import NONE, RunConfig
from tombola.experiments.search_config import SearchConfig

# After the 8 bytes with its length every ticket's header begins so (docs/format.md).
_BEGINNING = b'{"__metadata__":'
PRESETS = Path(__file__).parent / "presets"
"""One folder a command, one file a name: the settings of published experiments."""
Config = TypeVar("Config", bound=RunConfig)


def read_config(kind: type[Config], path: Path) -> Config:
    """The configuration in `path`: a config.toml, a ticket that a search has written, or, where no file is
    called so, the name of one of `PRESETS`.

    Raises what `from_toml` and `Ticket.load` raise; ArgumentError for an unknown name, for a ticket that
    names no settings, that names other options than these, or whose model is code to import or data a
    folder.
    """
    if path.name == str(path) and not path.suffix and not path.exists():
        return kind.from_toml(_preset(kind, path.name))
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
    if values.get("data", "digits") not in NAMES:
        raise ArgumentError(
            f"{path} names a folder of data, {values['data']!r:.80}: give its options one by one"
        )
    if "source_mask" in values and values["source_mask"] != NONE:
        raise ArgumentError(
            f"{path} was found in a source of a mask of its own ({values['source_mask']!r:.80}): give its "
            "options one by one, and the mask as --source-mask"
        )
    return kind.from_values({"command": "search", **values}, path)


def _preset(kind: type[RunConfig], name: str) -> Path:
    files = {path.stem: path for path in sorted((PRESETS / kind.command).glob("*.toml"))}
    if name not in files:
        raise unknown("configuration", name, files)
    return files[name]


def is_ticket(path: Path) -> bool:
    """Whether the file begins as a ticket does."""
    try:
        with path.open("rb") as file:
            return file.read(8 + len(_BEGINNING))[8:] == _BEGINNING
    except OSError:
        return False  # whoever reads it next says why
