"""The code in README.md, the other pages at the root, and docs/: all is checked, and runs.

Python and commands run, block after block, in an empty folder. A block that cannot run has a comment before
it in the page, `<!-- not run: why -->`, and is checked as far as that goes.
"""

from __future__ import annotations

import csv
import doctest
import json
import re
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from doc_commands import check_command, check_prose, command_lines
from doc_pages import PAGES, SHELL, Block, blocks, prose, read
from doc_runs import run_page
from tombola.errors import TombolaError
from tombola.experiments.sweep.file import read_sweep


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_sound(page: str, tmp_path: Path) -> None:
    for block in blocks(page, read(page)):
        check(block, tmp_path)


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_page(page, read(page), tmp_path, monkeypatch)


@pytest.mark.parametrize("page", PAGES)
def test_commands_named_in_prose_exist(page: str) -> None:
    check_prose(page, read(page))


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
        "```\nOMP_NUM_THREADS=1 tombola serach\n```",
        "```sh\nfor ticket in *.tombola; do tombola verify $ticket; done\n```",
        "```text\ntombola verify a.tombola\n```",
        "~~~sh\ntombola verify a.tombola\n~~~",
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
        "```sh\ntombola search --out runs/a\ntombola verify runs/b/ticket.tombola\n```",
        "```\nOMP_NUM_THREADS=1 tombola inspect a.tombola > a.txt\n```",
        "```console\n$ tombola export a.tombola --out a.safetensors\n```",
        "```sh\ntombola verify a.tombola --digest HEX\n```",
        "```sh\ntombola report runs --out report.html\n```",
        "```sh\ntombola train --ticket a.tombola --method static\n```",
        "```sh\ntombola train --config a/config.toml\n```",
        "```sh\ntombola search --data-dir FOLDER\n```",
        "```sh\ntombola search --data cifar10\n```",
        "```sh\ntombola search --data=./FOLDER\n```",
        "```sh\ntombola search --config cifar10-conv6\n```",
        "```sh\ntorchrun -m tombola search\n```",
        "```toml\n# a.toml\nseeds = 1\n```\n\n```sh\ntombola sweep b.toml\n```",
        "<!-- not run: needs time -->\n\nThen:\n\n```sh\ntombola verify a.tombola\n```",
    ],
)
def test_code_that_fails_fails(broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises((AssertionError, doctest.DocTestFailure)):
        run_page("page.md", broken, tmp_path, monkeypatch)


def test_commands_run_unless_a_comment_says_why_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = """
```toml
# mine.toml
seeds = 2

[options]
data = "iris"
model = "mlp"
epochs = 500
```

```sh
tombola sweep mine.toml
tombola train --data iris --model mlp --out runs/trained
tombola report runs --csv "runs.csv"
```

<!-- not run: a.tombola stands for any ticket -->
```sh
tombola verify a.tombola
```
"""
    run_page("page.md", shown, tmp_path, monkeypatch)
    assert len(list(tmp_path.glob("runs/mine/*/ticket.tombola"))) == 2
    with (tmp_path / "runs.csv").open(newline="") as file:
        assert {row["option.epochs"] for row in csv.DictReader(file)} == {"1"}


@pytest.mark.parametrize(
    "broken",
    [
        "Type `tombola serach`.",
        "Type `tombola serach --out runs/a`.",
        "Type `tombola search --no-such-option`.",
        "Type `tombola\nsearch --source-densty 0.5`.",
        "Type `tombola --verison`.",
        "Type `torchrun --nproc-per-node 2 -m tombola serach`.",
    ],
)
def test_a_misspelt_command_in_prose_fails(broken: str) -> None:
    with pytest.raises(AssertionError):
        check_prose("page.md", broken)


def test_what_prose_may_name() -> None:
    check_prose(
        "page.md",
        "`tombola.sparse`, `tombola`, `tombola NAME --help`, `tombola --version` and `tombola\ntrain`",
    )


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
            check_command(command, block)
    elif block.language == "text":
        assert not re.search(r"^(\$ )?tombola ", block.text, flags=re.MULTILINE), f"{block}: a command"
    elif block.language != "pycon":
        assert block.reason is not None, f"{block}: nothing checks {block.language!r}: say why it is not run"
