"""The pages of the documentation, their blocks of code, and the commands in these."""

from __future__ import annotations

import functools
import re
import shlex
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import commands
from tombola import cli

ROOT = Path(__file__).parents[1]
PAGES = sorted(str(page.relative_to(ROOT)) for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SHELL = ("", "sh", "bash", "shell", "console")

_BLOCK = re.compile(
    r"(?:<!-- not run:(?P<reason>[^\n]*?)-->\s*\n)?"
    r"^(?P<indent> *)(?P<fence>```+)(?P<language>[^\s`]*)[^\n`]*\n(?P<text>.*?)^(?P=indent)(?P=fence)[ ]*$",
    re.DOTALL | re.MULTILINE,
)
_PROGRAM = re.compile(r"(\$ |tombola |torchrun |python |pip |make )")  # what begins a command in a bare block


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
    fences = re.findall(r"^ *```", _BLOCK.sub("", text), flags=re.MULTILINE)
    assert not fences, f"{page}: a block that is not closed"
    return found


def prose(text: str) -> str:
    """A page without its blocks."""
    return _BLOCK.sub("", text)


def command_lines(block: Block) -> Iterator[list[str]]:
    """The commands of a block in words, without what they are joined by and where they write."""
    for line in block.text.replace("\\\n", " ").splitlines():
        if block.language in ("", "console") and not _PROGRAM.match(line):
            continue  # a tree of files, or what a command printed
        if block.language == "console" and not line.startswith("$ "):
            continue
        words = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars="|&;<>")
        words.whitespace_split = True
        command: list[str] = []
        for word in [*words, ";"]:
            if word.strip("|&;<>"):
                command.append(word)
                continue
            while command and re.fullmatch(r"[A-Z_]+=.*", command[0]):
                del command[0]
            if command:
                yield command
            command = []


def tombola_arguments(command: list[str]) -> list[str] | None:
    """What a command gives to `tombola`, be it by python or torchrun; None for other programs."""
    if command[0] == "tombola":
        return command[1:]
    for start in range(1, len(command) - 1):
        if command[0] in ("python", "torchrun") and command[start : start + 2] == ["-m", "tombola"]:
            return command[start + 2 :]
    return None


def parse(arguments: list[str]) -> commands.Ended:
    """Have the command's own parser, and the checks of its options, take `arguments`; nothing is run."""
    given, complete = _without_missing_config(arguments)
    checked = {name: _checked(command, complete) for name, command in cli.COMMANDS.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "COMMANDS", checked)
        return commands.tombola(*given)


def _checked(command: Callable[..., int], complete: bool) -> Callable[..., int]:
    @functools.wraps(command)  # the parser reads the signature
    def check(*_: Any, **options: Any) -> int:
        if complete and "run" in options:
            options["run"].check()
        return 0

    return check


def _without_missing_config(arguments: list[str]) -> tuple[list[str], bool]:
    """`arguments` without a configuration file that the page only speaks of, and whether they are all."""
    if "--config" in arguments:
        at = arguments.index("--config")
        if re.search(r"[./]", arguments[at + 1]) and not Path(arguments[at + 1]).exists():
            return arguments[:at] + arguments[at + 2 :], False
    return arguments, True
