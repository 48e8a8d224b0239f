"""The pages of the documentation, and their blocks of code."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    str(page.relative_to(ROOT))
    for folder, pattern in (("", "*.md"), ("docs", "**/*.md"), ("reproduction", "*.md"))
    for page in (ROOT / folder).glob(pattern)
)
SHELL = ("", "sh", "bash", "shell", "console")

_BLOCK = re.compile(
    r"(?:<!-- not run:(?P<reason>[^\n]*?)-->\s*\n)?"
    r"^(?P<indent> *)(?P<fence>```+)(?P<language>[^\s`]*)[^\n`]*\n(?P<text>.*?)^(?P=indent)(?P=fence)[ ]*$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """A fenced block: `line`, where its code begins; `reason`, why the page does not have it run."""

    page: str
    line: int
    language: str
    text: str
    reason: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def source(self) -> str:
        """Its code with the page's line numbers, for tracebacks."""
        return "\n" * (self.line - 1) + self.text


def read(page: str) -> str:
    """The text of a page, by its path in the repository."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, text: str) -> list[Block]:
    """Every fenced block of a page. Fails for a fence that is never closed, or a reason that is empty."""
    found = []
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start("text")) + 1
        reason = match["reason"]
        assert reason is None or reason.strip(), f"{page}:{line}: say why it is not run"
        found.append(Block(page, line, match["language"], textwrap.dedent(match["text"]), reason))
    fences = re.findall(r"^ *(?:```|~~~)", _BLOCK.sub("", text), flags=re.MULTILINE)
    assert not fences, f"{page}: a block that is not closed, or not by ```"
    return found


def prose(text: str) -> str:
    """A page without its blocks."""
    return _BLOCK.sub("", text)
