"""What is shipped: all that is needed, nothing that happens to lie about, and the same by either way."""

from __future__ import annotations

import email
import email.message
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from distribution_helpers import ROOT, Distributions, distributions
from tombola import __version__

PACKAGE = ROOT / "src" / "tombola"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    return distributions(tmp_path_factory)


def in_source(made: Distributions) -> set[str]:
    """The files of the source distribution, from its own folder on."""
    with tarfile.open(made.source) as archive:
        files = [member.name.partition("/") for member in archive.getmembers() if member.isfile()]
    assert {first for first, _, _ in files} == {f"tombola-{__version__}"}
    return {rest for _, _, rest in files}


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def metadata(made: Distributions) -> email.message.Message:
    return email.message_from_bytes(contents(made.wheel)[f"tombola-{__version__}.dist-info/METADATA"])


def description(told: email.message.Message) -> str:
    written = told.get_payload(decode=True)
    assert isinstance(written, bytes)
    return written.decode()


def of_package() -> set[str]:
    """The files of the package in the checkout."""
    files = (path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {f"tombola/{path.relative_to(PACKAGE)}" for path in files}


def test_the_source_distribution_has_all_that_building_and_testing_need(made: Distributions) -> None:
    files = in_source(made)
    alone = {"README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "Makefile", "pyproject.toml"}
    assert alone | {"CONTRIBUTING.md", "mkdocs.yml"} <= files
    assert {f"src/{name}" for name in of_package()} <= files
    for folder in ("tests", "docs", "tools", "examples", "reproduction"):
        kept = {path for path in (ROOT / folder).rglob("*") if path.is_file() and path.suffix != ".pyc"}
        assert {str(path.relative_to(ROOT)) for path in kept} <= files
    assert not {name for name in files if name.startswith(("runs/", "dist/", ".venv/", ".ci/"))}
    assert not {name for name in files if "__pycache__" in name or name.endswith((".parquet", ".pt"))}


def test_the_source_distribution_has_nothing_that_is_not_under_version_control(made: Distributions) -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("no checkout")
    strange = in_source(made) - set(listed.stdout.splitlines()) - {"PKG-INFO"}
    untracked = ["git", "ls-files", "--others", "--exclude-standard"]
    new = subprocess.run(untracked, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert strange - set(new) == set()  # a file that is about to be added is no stranger


def test_both_ways_to_the_wheel_give_the_same(made: Distributions) -> None:
    assert made.wheel.name == made.wheel_of_tree.name == f"tombola-{__version__}-py3-none-any.whl"
    assert contents(made.wheel) == contents(made.wheel_of_tree)


def test_the_wheel_has_the_package_and_nothing_else(made: Distributions) -> None:
    files = set(contents(made.wheel))
    about = {name for name in files if name.startswith(f"tombola-{__version__}.dist-info/")}
    assert files - about == of_package()
    # What is no Python: types, tables, the page of the report, settings of published experiments.
    assert "tombola/py.typed" in files
    assert "tombola/source/normal_quantiles.f32" in files
    assert "tombola/experiments/presets/search/cifar10-conv6.toml" in files
    assert {f"tombola/report/page/{name}" for name in ("page.html", "page.css", "start.js")} <= files
    assert f"tombola-{__version__}.dist-info/licenses/LICENSE" in files
    assert (
        "tombola = tombola.__main__:main"
        in contents(made.wheel)[f"tombola-{__version__}.dist-info/entry_points.txt"].decode()
    )


def test_what_the_package_index_is_told(made: Distributions) -> None:
    told = metadata(made)
    assert (told["Name"], told["Version"]) == ("tombola", __version__)
    assert told["Requires-Python"] == ">=3.11"
    assert told["License-Expression"] == "Apache-2.0"
    assert told["Description-Content-Type"] == "text/markdown"
    assert description(told) == (ROOT / "README.md").read_text()
    assert "Typing :: Typed" in told.get_all("Classifier", [])
    needed = [line for line in told.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert not any(line.startswith("torch") for line in needed)
    extras = {"torch", "vision", "export", "theory", "cluster", "report", "tensorboard", "dev"}
    assert extras <= set(told.get_all("Provides-Extra", []))


def test_the_package_index_can_show_the_description(made: Distributions) -> None:
    markdown = pytest.importorskip("readme_renderer.markdown")
    shown = markdown.render(description(metadata(made)))
    assert shown is not None
    assert "<h1" in shown
    assert "<table>" in shown
