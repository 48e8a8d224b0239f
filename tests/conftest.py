"""Settings of the whole test suite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hypothesis
import pytest
import torch
from matplotlib.figure import Figure

from reproduction import records

# The fuzzer is a program of its own, with a package that the tests do without.
collect_ignore = ["fuzz"]

# The suite runs in two processes on two cores; and no example of a property is ever too slow.
torch.set_num_threads(1)
hypothesis.settings.register_profile("tombola", deadline=None, derandomize=True)
hypothesis.settings.load_profile("tombola")


@pytest.fixture(autouse=True)
def seeded() -> None:
    """What draws from torch's own generator draws the same in every run, whatever ran before."""
    torch.manual_seed(0)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were drawn, to look into."""
    figures: list[Figure] = []
    real = Figure.savefig

    def spy(figure: Figure, *arguments: Any, **options: Any) -> None:
        figures.append(figure)
        real(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", spy)
    return figures


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the reproduction's records: an empty one, in the place of those that are kept."""
    monkeypatch.setattr(records, "KEPT", tmp_path / "records")
    return tmp_path / "records"
