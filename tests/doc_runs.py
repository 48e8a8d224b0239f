"""Running a page of the documentation: its Python, its files and its commands, in order, in an empty folder.

What takes long is made shorter: runs have one epoch. Nothing is left out, and a command finds the files that
the page made before it, or fails.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import sys
from argparse import ArgumentParser
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import commands
from doc_commands import command_lines, tombola_arguments
from doc_pages import SHELL, Block, blocks
from tombola.data.names import NAMES, TABLES

IMAGES = {"README.md": (3, 32, 32)}
"""The images that a page's `loader` has; of pages not named here: (1, 8, 8)."""

FETCHED = {*NAMES} - {"digits", *TABLES}
"""The data that do not come with scikit-learn: the tests have none of them, and fetch nothing."""


def run_page(page: str, text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run all blocks of a page that do not say why they are not run. Fails where one of them does."""
    monkeypatch.chdir(folder)
    module = ModuleType("documented_page")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    scope: dict[str, Any] = vars(module)
    scope["loader"] = _loader(IMAGES.get(page, (1, 8, 8)))
    for block in blocks(page, text):
        if block.reason is not None:
            continue
        if block.language == "python":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(block.source, block.page, "exec"), scope)
        elif block.language == "pycon":
            examples = doctest.DocTestParser().get_doctest(block.text, scope, str(block), page, block.line)
            doctest.DebugRunner(optionflags=doctest.ELLIPSIS).run(examples, clear_globs=False)
            scope |= examples.globs
        elif block.language == "toml":
            _write_toml(block)
        elif block.language in SHELL:
            for command in command_lines(block):
                _run_command(command, str(block))


def _write_toml(block: Block) -> None:
    """A file that names itself in its first line, as a page shows it but for the epochs."""
    if named := re.match(r"# ([\w-]+\.toml)\n", block.text):
        shorter = re.sub(r"^epochs = \d+", "epochs = 1", block.text, flags=re.MULTILINE)
        Path(named[1]).write_text(shorter)


def _run_command(command: list[str], where: str) -> None:
    arguments = tombola_arguments(command)
    if arguments is None:
        return  # make, pip and the repository's own programs, which have tests of their own
    shown = f"{where}: {' '.join(command)}"
    assert command[0] != "torchrun", f"{shown}: there is one process here: say why it is not run"
    assert not _fetches(arguments), f"{shown}: needs data that have to be fetched: say why it is not run"
    ended = commands.tombola(*_shorter(arguments))
    assert ended.status == 0, f"{shown}: {ended.err}"


def _shorter(arguments: list[str]) -> list[str]:
    """A command for little time: the last of two options of the same name counts."""
    if "--help" in arguments:
        return arguments
    if arguments[:1] in (["search"], ["train"]):
        later = any(word.split("=")[0] in ("--anneal", "--rewind-epochs") for word in arguments)
        return [*arguments, "--epochs", "2" if later else "1", "--threads", "1"]
    if arguments[:1] == ["sweep"]:
        return [*arguments, "--engine", "here"]
    return arguments


def _fetches(arguments: list[str]) -> bool:
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--data")
    parser.add_argument("--config", default="./config.toml")
    given, _ = parser.parse_known_args(arguments)
    return given.data in FETCHED or not re.search(
        r"[./]", given.config
    )  # a name: a paper's settings and data


def _loader(shape: tuple[int, ...]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of eight random images in ten classes: twelve, or three where images are larger."""
    drawn = torch.Generator().manual_seed(0)
    return [
        (torch.randn(8, *shape, generator=drawn), torch.randint(10, (8,), generator=drawn))
        for _ in range(12 if shape[-1] <= 8 else 3)
    ]
