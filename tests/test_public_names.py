"""The public contract: names, and what importing them costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import tombola


def test_exported_names() -> None:
    assert tombola.__all__ == [
        "ArgumentError",
        "DataError",
        "EdgePopup",
        "Geometric",
        "IteRand",
        "Mask",
        "RunError",
        "Search",
        "Source",
        "Ticket",
        "TicketError",
        "TombolaError",
        "data",
        "densities",
        "export",
        "models",
        "sparse",
        "theory",
    ]
    assert set(tombola.__all__) <= set(dir(tombola))


def test_errors_are_one_family() -> None:
    for error in (tombola.ArgumentError, tombola.DataError, tombola.RunError, tombola.TicketError):
        assert issubclass(error, tombola.TombolaError)
    assert issubclass(tombola.ArgumentError, ValueError)


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="module 'tombola' has no attribute 'Sources'"):
        tombola.Sources  # noqa: B018


@pytest.mark.parametrize(
    "package",
    ["", ".source", ".search", ".ticket", ".models", ".data", ".report", ".export", ".sparse", ".theory"],
)
def test_importing_a_package_imports_no_torch(package: str) -> None:
    code = f"import sys, tombola{package}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_readme_example_runs() -> None:
    text = (Path(__file__).parents[1] / "README.md").read_text()
    example = text.split("```python\n")[1].split("```")[0]
    loader = """
import torch
g = torch.Generator().manual_seed(0)
loader = [(torch.randn(4, 3, 32, 32, generator=g), torch.randint(10, (4,), generator=g)) for _ in range(3)]
"""
    done = subprocess.run(
        [sys.executable, "-c", loader + example], capture_output=True, text=True, check=False, cwd="/tmp"
    )
    assert done.returncode == 0, done.stderr
