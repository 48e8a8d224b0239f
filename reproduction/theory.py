"""The trials that claims A4 and B4 are judged by: `tombola bounds --measure`, kept as records/theory."""

from __future__ import annotations

import json
from typing import Any

from reproduction import records

NAME = "theory"
COMMAND = ("bounds", "--measure", "--trials", "20000", "--json")


def measured() -> dict[str, Any] | None:
    """What the trials gave; None where they were not run."""
    file = records.KEPT / NAME / "bounds.json"
    return json.loads(file.read_text())["measured"] if file.exists() else None


def keep(text: str, told: dict[str, Any]) -> None:
    """Write what the command printed, and on what machine, to the records."""
    folder = records.KEPT / NAME
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bounds.json").write_text(text)
    (folder / "machine.json").write_text(json.dumps(told, indent=2) + "\n")
