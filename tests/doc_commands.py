"""The commands in the blocks and the prose of the documentation, and whether they are ones that there are."""

from __future__ import annotations

import functools
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import commands
from doc_pages import ROOT, Block, prose
from tombola import cli

OURS = ("tools/", "benchmarks/", "tests/", "examples/")
"""Where Python's files lie that commands of the pages name: they have to be there."""

_PROGRAM = re.compile(r"(\$ |([A-Z_]+=\S* )*(tombola|torchrun|python|pip|make) )")
"""What begins a command in a block of no language."""

_IN_PROSE = re.compile(r"`((?:(?:python|torchrun)\s[^`]*-m\s+)?tombola\s[^`]+)`")


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
        file_next = False
        for word in [*words, ";"]:
            if word.strip("|&;<>"):
                command += [] if file_next else [word]
                file_next = False
                continue
            file_next = word.strip("<>") == ""
            if file_next:
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


def check_command(command: list[str], block: Block) -> None:
    """Fail unless a command is one that there is, as far as can be told without running it."""
    where = f"{block}: {' '.join(command)}"
    arguments = tombola_arguments(command)
    if arguments is not None:
        ended = parse(arguments)
        assert ended.status == 0, f"{where}: {ended.err}{ended.out}"
    elif command[0] == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
        names = [word for word in command[1:] if "=" not in word and not word.startswith("-")]
        assert set(names) <= set(targets), where
    elif command[:2] == ["pip", "install"]:
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        for named in re.findall(r"tombola\[([\w,-]+)\]", " ".join(command)):
            assert set(named.split(",")) <= extras.keys(), where
    elif command[0] == "python" and command[1:2] and command[1].startswith(OURS):
        assert (ROOT / command[1]).is_file(), where
    else:
        assert block.reason is not None, f"{where}: nothing checks this program: say why it is not run"


def check_prose(page: str, text: str) -> None:
    """Fail unless each command that the prose of a page names is one that there is, and has the options."""
    for code in _IN_PROSE.findall(prose(text)):
        command, *words = tombola_arguments(code.split()) or [""]
        if (command.isupper() and command.isalpha()) or command in ("--help", "--version"):
            continue  # NAME stands for any of them
        assert command in cli.COMMANDS, f"{page}: `{code}`"
        told = commands.tombola(command, "--help").out
        for option in re.findall(r"--[a-z][\w-]*", " ".join(words)):
            assert re.search(rf"{option}\b(?!-)", told), f"{page}: `{code}`"


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
