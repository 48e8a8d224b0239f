"""The documentation site: it builds without a warning, is whole, and asks the network for nothing."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest

import commands
import tombola
from tombola import cli

pytest.importorskip("mkdocs", reason="no mkdocs: install the extra docs")

ROOT = Path(__file__).parents[1]
FETCHED = {"script": "src", "img": "src", "iframe": "src", "video": "src", "source": "src", "object": "data"}


@dataclass
class PageFacts(HTMLParser):
    """What the tests ask of a built page."""

    fetched: list[str] = field(default_factory=list)
    headings: list[int] = field(default_factory=list)
    alts: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    article: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        self.ids |= {told["id"]} if "id" in told else set()
        self.article |= tag == "article"
        if tag == "link" and told.get("rel") not in ("canonical", "prev", "next"):
            self.fetched.append(told.get("href", ""))
        if tag in FETCHED:
            self.fetched += [told.get(FETCHED[tag], ""), told.get("srcset", "")]
        if tag == "img":
            self.alts.append(told.get("alt", ""))
        if self.article and re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))

    def handle_endtag(self, tag: str) -> None:
        self.article &= tag != "article"


def build(folder: Path, config: Path = ROOT / "mkdocs.yml") -> subprocess.CompletedProcess[str]:
    """Build the site as `make docs` does."""
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", config, "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_site(tmp_path: Path) -> None:  # one test, for the site is built once
    done = build(tmp_path)
    assert done.returncode == 0, done.stderr
    pages = {str(page.relative_to(tmp_path)): facts_of(page) for page in tmp_path.rglob("*.html")}
    del pages["404.html"]
    assert len(pages) >= len(list((ROOT / "docs").rglob("*.md")))
    for name, facts in pages.items():
        outside = [place for place in facts.fetched if re.match("[a-z]*:?//", place)]
        assert not outside, f"{name} fetches {outside}"
        steps = list(zip([0, *facts.headings], facts.headings, strict=False))
        assert facts.headings.count(1) == 1, f"{name}: headings {facts.headings}"
        assert all(after <= before + 1 for before, after in steps), f"{name}: headings {facts.headings}"
        assert all(facts.alts), f"{name}: a picture without a text in its place"
    for sheet in tmp_path.rglob("*.css"):
        fetched = re.findall(r"(?:url\(|@import)[\s\"']*((?:https?:)?//[^)\"']*)", sheet.read_text())
        assert not fetched, f"{sheet.name} fetches {fetched}"
    check_reference(pages)


def facts_of(page: Path) -> PageFacts:
    """The facts of a built page."""
    text = page.read_text(encoding="utf-8")
    assert "mermaid" not in text, f"{page}: the theme would fetch a script for a diagram"
    assert not re.search(r"\sstyle=\"[^\"]*url\(", text), page
    facts = PageFacts()
    facts.feed(text)
    return facts


def check_reference(pages: dict[str, PageFacts]) -> None:
    """Every public name has its place in the reference, and every option of every command."""
    ids = {name for page, facts in pages.items() if page.startswith("reference/") for name in facts.ids}
    packages = (tombola.data, tombola.export, tombola.models, tombola.sparse, tombola.theory)
    names = [f"tombola.{name}" for name in tombola.__all__]
    names += [f"{package.__name__}.{name}" for package in packages for name in package.__all__]
    assert not [name for name in names if name not in ids]
    for command in cli.COMMANDS:
        options = re.findall(
            r"^\W? {0,3}--([a-z][\w-]*)", commands.tombola(command, "--help").out, flags=re.MULTILINE
        )
        assert "json" in options
        missing = [option for option in options if f"{command}-{option}" not in ids]
        assert not missing, f"tombola {command}: {missing}"


MISTAKES = """# A

[nowhere](nowhere.md), [no heading](../README.md#nowhere), [absolute](/README.md), [a folder](../src)

$\\nosuchsign$
"""


def test_mistakes_fail_the_build(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(MISTAKES)
    settings = {
        "INHERIT": str(ROOT / "mkdocs.yml"),
        "docs_dir": "docs",
        "nav": ["index.md"],
        "hooks": [str(ROOT / "tools" / "site" / f"{name}.py") for name in ("outside", "formulas")],
        "plugins": ["search"],
    }
    (tmp_path / "mkdocs.yml").write_text(json.dumps(settings))  # JSON is YAML
    done = build(tmp_path / "site", tmp_path / "mkdocs.yml")
    assert done.returncode == 1
    for said in (
        "'index.md' contains a link 'nowhere.md', but the target is not found",
        "'repository/README.md' does not contain an anchor '#nowhere'",
        "'index.md' contains an absolute link '/README.md'",
        "'index.md' contains an unrecognized relative link '../src'",
        "formula '\\\\nosuchsign': \\nosuchsign is not known",
    ):
        assert said in done.stderr, done.stderr


def hook(name: str) -> ModuleType:
    """A module of tools/site."""
    spec = importlib.util.spec_from_file_location(f"site_{name}", ROOT / "tools" / "site" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_formulas_become_mathml() -> None:
    mathml = hook("formulas").mathml
    made = mathml(r"w_l \leq \frac{1}{2} &lt; 3", inline=True)
    assert made.startswith("<math")
    assert "<mfrac>" in made
    assert "<msub>" in made
    assert 'display="block"' in mathml("x", inline=False)
    assert "<mtable" in mathml(r"\begin{aligned} a &amp;= b \\ c &amp;= d \end{aligned}", inline=False)
    assert ">\N{MATHEMATICAL DOUBLE-STRUCK DIGIT ONE}<" in mathml(r"\mathbb{1}", inline=True)
    assert "<mtext>d</mtext>" in mathml(r"\mathrm{d}x", inline=True)
    assert "<mo>&#x02254;</mo>" in mathml(r"x:=\frac{1}{2}", inline=True)
    assert ">arg<" in mathml(r"\arg\max_x", inline=True)
    with pytest.raises(ValueError, match="& is not known"):
        mathml(r"a &amp; b", inline=True)
    with pytest.raises(ValueError, match="nosuchsign"):
        mathml(r"\nosuchsign x", inline=True)
    with pytest.raises(ValueError, match="formula"):
        mathml("x^", inline=True)


def test_links_out_of_the_pages_lead_to_copies() -> None:
    relinked = hook("outside").relinked
    text = (
        "[a](../README.md#commands) `[b](../README.md)` [c](format.md) [d](../pyproject.toml) [e](../no.md)"
    )
    assert relinked(text, "docs/sweep.md", "sweep.md") == (
        "[a](repository/README.md#commands) `[b](../README.md)` [c](format.md) "
        "[d](repository/pyproject.toml.md) [e](../no.md)"
    )
    assert relinked("![demo](docs/demo.png)", "README.md", "repository/README.md") == "![demo](../demo.png)"
    code = "~~~\n[a](../README.md)\n~~~\n"
    assert relinked(code, "docs/sweep.md", "sweep.md") == code


def test_docstrings_become_markdown() -> None:
    told = (
        "It adds.\n\nParameters\n----------\na, b : two\n    numbers.\n\n>>> 1 + 1\n2\n\nIt does.\nRaises E."
    )
    assert hook("docstrings").markdown(told) == (
        "It adds.\n\n**Parameters**\n\n- `a`, `b`: two\n  numbers.\n\n"
        "```pycon\n>>> 1 + 1\n2\n```\n\nIt does.\n\nRaises E."
    )


def test_what_is_no_help_is_refused() -> None:
    with pytest.raises(ValueError, match="not a command's help: 'tombola: something'"):
        hook("commands").parsed("tombola: something")
