"""The public contract: names, and what importing them costs."""

from __future__ import annotations

import subprocess
import sys

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
        "SignedSupermask",
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
