"""What is said of the version, and of how to cite it, is said of this version."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tombola import __version__
from tombola.ticket.container import VERSION

ROOT = Path(__file__).parents[1]


def test_the_changelog_begins_with_this_version() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert headings
    version, _, when = headings[0].partition(" - ")
    assert version == __version__
    assert when == "unreleased" or re.fullmatch(r"\d{4}-\d\d-\d\d", when)


def test_the_kinds_of_changes_are_those_of_keep_a_changelog() -> None:
    kinds = re.findall(r"^### (.+)$", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_changelog_and_the_policy_name_the_format_that_is_written() -> None:
    assert f"version {VERSION}" in (ROOT / "CHANGELOG.md").read_text()
    assert f"is version {VERSION}" in (ROOT / "docs" / "deprecation.md").read_text()


def test_the_citation() -> None:
    yaml: Any = pytest.importorskip("yaml", reason="no package here brings YAML")
    told = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(told)
    assert (told["cff-version"], told["type"]) == ("1.2.0", "software")
    assert str(told["version"]) == __version__
    assert told["authors"] == [{"name": "The Tombola developers"}]
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text()
    assert told["license"] == "Apache-2.0"
    found = {(paper["authors"][0]["family-names"], paper["year"]) for paper in told["references"]}
    assert found == {("Chijiwa", 2021), ("Gadhikar", 2023), ("Ramanujan", 2020)}
    for paper in told["references"]:
        assert {"type", "title", "authors", "conference"} <= set(paper)
        assert all({"given-names", "family-names"} == set(author) for author in paper["authors"])
