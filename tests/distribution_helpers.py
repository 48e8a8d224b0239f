"""The source distribution and the wheels, built once for all processes of the test suite."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from tarfile import open as open_archive

import pytest
from build import ProjectBuilder
from build.env import DefaultIsolatedEnv
from filelock import FileLock

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Distributions:
    """The source distribution, the wheel built out of it, and the wheel built out of the checkout."""

    source: Path
    wheel: Path
    wheel_of_tree: Path


def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """Build them, or take those that another process of this suite has built."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # which all processes share
    folder = folder / "distributions"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            _build(folder)
    return Distributions(*(_only(folder / name) for name in ("source", "wheel", "tree")))


def _build(folder: Path) -> None:
    """As `python -m build` does, but in one isolated environment for all three."""
    with DefaultIsolatedEnv() as environment:
        tree = ProjectBuilder.from_isolated_env(environment, ROOT)
        environment.install(tree.build_system_requires)
        made = folder.with_name("being-built")
        tree.build("sdist", made / "source")
        tree.build("wheel", made / "tree")
        with open_archive(_only(made / "source")) as archive:
            archive.extractall(made / "unpacked", filter="data")
        unpacked = ProjectBuilder.from_isolated_env(environment, _only(made / "unpacked"))
        unpacked.build("wheel", made / "wheel")
        made.rename(folder)


def _only(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path
