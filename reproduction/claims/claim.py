"""What a claim is: whose, what it says, what measures it, and how that is judged and drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reproduction.comparison import Finding, Word

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Claim:
    """A claim by its short name, which its figure has, too.

    `draw` fills an empty figure from the records; it is called where at least one finding was run. `note` is
    what is to be said beside the verdict, whatever it is; `table` writes one of records that decide nothing.
    """

    name: str
    title: str
    source: str
    sweeps: tuple[str, ...]
    findings: Callable[[], list[Finding]]
    draw: Callable[[Figure], None]
    caption: str
    note: str = ""
    table: Callable[[], str] | None = None


def verdict(findings: list[Finding]) -> Word:
    """That of the whole claim, by what was run of it: one statement that disagrees is enough to disagree."""
    words = {finding.word for finding in findings} - {"not run"}
    if not words:
        return "not run"
    return "disagrees" if "disagrees" in words else "not decided" if "not decided" in words else "agrees"
