"""The code in README.md, the other pages at the root, and docs/: all is checked, and runs where it can.

Python runs, block after block, in an empty folder. A block that cannot run has a comment before it in the
page, `<!-- not run: why -->`, and is checked as far as that goes.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import json
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest
import torch

import commands
from doc_pages import (
    PAGES,
    ROOT,
    SHELL,
    Block,
    blocks,
    command_lines,
    parse,
    prose,
    read,
    tombola_arguments,
)
from tombola import cli
from tombola.errors import TombolaError
from tombola.experiments.sweep.file import read_sweep

IMAGES = {"README.md": (3, 32, 32)}
"""The images that a page's `loader` has; of pages not named here: (1, 8, 8)."""

CHEAP = ("verify", "inspect", "evaluate", "export", "report")
"""Commands that are run where the page has made, before, the ticket or the folder that they are given."""

RUNS = ("search", "train")
"""Commands that are run for one epoch where they have no option but --out, and so work on the digits."""

OURS = ("tools/", "benchmarks/", "tests/", "examples/")
"""Where Python's files lie that commands of the pages name: they have to be there."""


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_sound(page: str, tmp_path: Path) -> None:
    for block in blocks(page, read(page)):
        check(block, tmp_path)


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(page, read(page), tmp_path, monkeypatch)


@pytest.mark.parametrize("page", PAGES)
def test_options_named_in_prose_exist(page: str) -> None:
    for code in re.findall(r"`(tombola\s[^`]+)`", prose(read(page))):
        command, *words = code.split()[1:]
        if command in cli.COMMANDS:
            told = commands.tombola(command, "--help").out
            for option in re.findall(r"--[a-z][\w-]*", " ".join(words)):
                assert re.search(rf"{option}\b(?!-)", told), f"{page}: `{code}`"


@pytest.mark.parametrize("page", PAGES)
def test_links_to_other_sites_are_well_formed(page: str) -> None:
    for link in re.findall(r"\b\w+://[^\s>\"`]+", prose(read(page))):
        address = urlsplit(link.rstrip(").,;"))
        assert address.scheme == "https", f"{page}: {link}"
        assert re.fullmatch(r"[\w-]+(\.[\w-]+)+", address.netloc), f"{page}: {link}"


@pytest.mark.parametrize(
    "broken",
    [
        "```python\nx = (\n```",
        "<!-- not run: needs a cluster -->\n```python\nx = (\n```",
        "<!-- not run: -->\n```python\nx = 1\n```",
        "```python\nx = 1\n",
        "```sh\ntombola search --no-such-option 1\n```",
        "```\ntombola search --method edge-pop\n```",
        "<!-- not run: needs two GPUs -->\n```bash\ntorchrun -m tombola train --density\n```",
        "```console\n$ tombola verfy a.tombola\n```",
        "1. So:\n\n   ```bash\n   tombola inspect\n   ```",
        "```sh\nOMP_NUM_THREADS=1 python -m tombola sweep --engin ray a.toml | head\n```",
        "```sh\ntombola train --config no-such-paper\n```",
        "```sh\nmake no-such-target\n```",
        "```sh\npip install 'tombola[no-such-extra]'\n```",
        "```sh\npython tools/no_such_tool.py\n```",
        "```sh\npython examples/no_such_example.py search\n```",
        "```toml\n[grid\n```",
        "```toml\n[grid]\nwdth = [1.0]\n```",
        "```json\n{1}\n```",
        "```rust\nfn main() {}\n```",
    ],
)
def test_a_broken_block_fails(broken: str, tmp_path: Path) -> None:
    with pytest.raises((AssertionError, SyntaxError, ValueError, TombolaError)):
        for block in blocks("page.md", broken):
            check(block, tmp_path)


@pytest.mark.parametrize(
    "broken",
    [
        "```python\nassert False\n```",
        "```python\nname = 1\n```\n\nThen:\n\n```pycon\n>>> name\n2\n```",
        "```python\nopen('a.tombola', 'w').close()\n```\n\n```sh\ntombola inspect a.tombola\n```",
    ],
)
def test_code_that_fails_fails(broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises((AssertionError, doctest.DocTestFailure)):
        run("page.md", broken, tmp_path, monkeypatch)


def check(block: Block, folder: Path) -> None:
    """Fail unless a block is what its language has, as far as can be told without running it."""
    if block.language == "python":
        compile(block.source, block.page, "exec")
    elif block.language == "toml":
        if {"seeds", "grid", "list", "random", "resources"} & tomllib.loads(block.text).keys():
            file = folder / f"{block.line}.toml"
            file.write_text(block.text)
            read_sweep(file)
    elif block.language == "json":
        json.loads(block.text)
    elif block.language in SHELL:
        for command in command_lines(block):
            _check_command(command, str(block))
    elif block.language not in ("pycon", "text"):
        assert block.reason is not None, f"{block}: nothing checks {block.language!r}: say why it is not run"


def _check_command(command: list[str], where: str) -> None:
    arguments = tombola_arguments(command)
    if arguments is not None:
        ended = parse(arguments)
        assert ended.status == 0, f"{where}: {' '.join(command)}: {ended.err}{ended.out}"
    elif command[0] == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
        names = [word for word in command[1:] if "=" not in word and not word.startswith("-")]
        assert set(names) <= set(targets), f"{where}: {' '.join(command)}"
    elif command[:2] == ["pip", "install"]:
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        for named in re.findall(r"tombola\[([\w,-]+)\]", " ".join(command)):
            assert set(named.split(",")) <= extras.keys(), f"{where}: {' '.join(command)}"
    elif command[0] == "python" and command[1:2] and command[1].startswith(OURS):
        assert (ROOT / command[1]).is_file(), f"{where}: {' '.join(command)}"


def run(page: str, text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the Python of a page, and its cheap commands."""
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
        elif block.language in SHELL:
            for arguments in map(tombola_arguments, command_lines(block)):
                if arguments:
                    _run_command(arguments, str(block))


def _run_command(arguments: list[str], where: str) -> None:
    command, *words = arguments
    if any(re.fullmatch("[A-Z]{3,}", word) for word in words):
        return  # HEX or FILE stands for something
    if command in CHEAP and any(Path(word).exists() for word in words):
        ended = commands.tombola(*arguments)
    elif command in RUNS and words[:1] == ["--out"] and len(words) == 2:
        ended = commands.tombola(*arguments, "--epochs", "1", "--threads", "1")
    else:
        return
    assert ended.status == 0, f"{where}: {' '.join(arguments)}: {ended.err}"


def _loader(shape: tuple[int, ...]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of eight random images in ten classes: twelve, or three where images are larger."""
    drawn = torch.Generator().manual_seed(0)
    return [
        (torch.randn(8, *shape, generator=drawn), torch.randint(10, (8,), generator=drawn))
        for _ in range(12 if shape[-1] <= 8 else 3)
    ]
