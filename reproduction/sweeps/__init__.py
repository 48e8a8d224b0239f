"""The sweeps, one file each, and which belong together."""

from __future__ import annotations

import tomllib
from pathlib import Path

from reproduction import theory

HERE = Path(__file__).parent
TWO_HOURS = (theory.NAME, "a1-width-0.25", "a2")
"""What two cores run in about two hours."""
GPU = tuple(sorted(file.stem for file in HERE.glob("gpu-*.toml")))
ALL = (theory.NAME, *sorted(file.stem for file in HERE.glob("*.toml")))


def file_of(sweep: str) -> Path:
    """The file that says what a sweep runs."""
    return HERE / f"{sweep}.toml"


def data_of(sweep: str) -> str:
    """The data set that a sweep is of."""
    options = tomllib.loads(file_of(sweep).read_text())["options"]
    return str(options["data"])


def command_of(sweep: str) -> str:
    """What to type for it."""
    if sweep == theory.NAME:
        return " ".join(("tombola", *theory.COMMAND))
    return f"tombola sweep reproduction/sweeps/{sweep}.toml"
