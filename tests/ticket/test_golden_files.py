"""Golden tickets must load for ever, and be what is written today."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tombola.experiments.search_config import METHODS
from tombola.source.init import DISTRIBUTIONS
from tombola.ticket import Ticket
from tombola.ticket.format import read, write

FOLDER = Path(__file__).parent.parent / "golden"
DIGESTS: dict[str, str] = json.loads((FOLDER / "digests.json").read_text())


def test_there_is_one_for_each_distribution_and_method() -> None:
    expected = {f"{init}-{method}.tombola" for init in DISTRIBUTIONS for method in METHODS}
    assert expected <= set(DIGESTS) == {path.name for path in FOLDER.glob("*.tombola")}


@pytest.mark.parametrize("name", sorted(DIGESTS))
def test_golden_files_load_for_ever(name: str) -> None:
    ticket = Ticket.load(FOLDER / name)
    ticket.verify(DIGESTS[name])
    assert ticket.metadata["note"] == "für immer \N{BLACK SPADE SUIT} \U0001f39f"
    redrawn = any(values.any() for values in ticket.redraws.values())
    assert redrawn == ("edge-popup" not in name)
    data = (FOLDER / name).read_bytes()
    assert write(read(data)) == data
