"""The house's docstrings as Markdown, for the reference.

They are prose with three things that Markdown does not know: `Parameters` underlined, with items `name :
text`; examples behind `>>>`; and sentences that begin with "Raises".
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_UNDERLINED = re.compile(r"^(\w+)\n-{3,}\n", re.MULTILINE)
_ITEM = re.compile(r"^(\*{0,2}\w[\w, *]*) : (.*)$")


class HouseStyle(griffe.Extension):
    """Turns every docstring into Markdown before it is rendered."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of whatever was found in the sources."""
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Leave out the base that shows objects in notebooks: it says nothing of what they do."""
        cls.bases = [base for base in cls.bases if str(base) != "Shown"]


def markdown(docstring: str) -> str:
    """`docstring` with lists in the place of underlined sections, and fences around examples."""
    blocks = re.split(r"\n{2,}", docstring.strip("\n"))
    return "\n\n".join(_block(block) for block in blocks)


def _block(block: str) -> str:
    section = _UNDERLINED.match(block)
    if section:
        return f"**{section[1]}**\n\n" + _items(block[section.end() :])
    if block.startswith(">>>"):
        return f"```pycon\n{block}\n```"
    # A sentence of its own in the sources is a paragraph of its own to read.
    return re.sub(r"(?<=[.:;)])\n(?=Raises |Warns )", "\n\n", block)


def _items(text: str) -> str:
    lines = []
    for line in text.splitlines():
        item = _ITEM.match(line)
        if item:
            names = ", ".join(f"`{name.strip()}`" for name in item[1].split(","))
            lines.append(f"- {names}: {item[2]}")
        else:
            lines.append(f"  {line.strip()}")
    return "\n".join(lines)
