"""Displays in notebooks and terminals."""

from __future__ import annotations

import io
from html.parser import HTMLParser

import numpy as np
import pytest
from rich.console import Console
from torch import nn

from tombola import IteRand, Mask, Source, sparse
from tombola.shown import Shown, Table


class Cells(HTMLParser):
    """The rows of a table, and whether every tag was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def rows_of(thing: Shown) -> list[list[str]]:
    parser = Cells()
    parser.feed(thing._repr_html_())
    assert not parser.open
    return parser.rows


def in_terminal(thing: Shown) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(thing)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def things() -> list[Shown]:
    source = Source(nn.Sequential(nn.Linear(40, 30), nn.Linear(30, 10)), seed=7, density=0.5)
    search = IteRand(source, 0.25)
    weights = sparse.Static(Source(nn.Linear(4, 2), seed=7), 0.5)
    return [source, search, search.ticket(), search.mask, weights]


@pytest.mark.parametrize("number", range(5))
def test_every_tensor_has_a_row_with_what_is_kept(number: int) -> None:
    thing = things()[number]
    mask = thing if isinstance(thing, Mask) else thing.mask  # type: ignore[attr-defined]
    first, *rows = rows_of(thing)
    assert first == ["tensor", "shape", "weights", "kept", "density"]
    assert [row[0] for row in rows] == list(mask)
    for row in rows:
        kept = mask[row[0]]
        assert row[1] == " × ".join(map(str, kept.shape))
        assert [int(cell.replace(",", "")) for cell in row[2:4]] == [kept.size, int(kept.sum())]
        assert float(row[4]) == pytest.approx(kept.mean(), rel=1e-3)
    shown = in_terminal(thing)
    assert all(cell in shown for row in rows for cell in row)
    name = type(thing).__name__
    assert name in shown
    assert f"<b>{name}</b>" in thing._repr_html_()
    if not isinstance(thing, Mask):
        assert "seed 7" in shown


def test_a_ticket_shows_its_size() -> None:
    ticket = things()[2]
    assert f"bytes <b>{ticket.nbytes:,}</b>" in ticket._repr_html_()  # type: ignore[attr-defined]


@pytest.mark.parametrize("number", [1, 4])
def test_a_search_and_a_training_show_how_far_they_are(number: int) -> None:
    thing = things()[number]
    shown = thing._repr_html_()
    assert "steps <b>0</b>" in shown
    assert f"density <b>{thing.mask.density:.4g}</b>" in shown  # type: ignore[attr-defined]


def test_of_many_tensors_the_first_and_the_last_are_shown() -> None:
    mask = Mask({f"layer{i}": np.ones(1, dtype=bool) for i in range(100)})
    names = [row[0] for row in rows_of(mask)][1:]
    assert names == [*(f"layer{i}" for i in range(12)), "… 76 more …", *(f"layer{i}" for i in range(88, 100))]


def test_names_are_texts_and_no_markup() -> None:
    table = Table("<i>", {"a": "[red]<&>"}, ("x",), [("[bold]<script>",)])
    assert "<script>" not in table.html()
    assert "&lt;script&gt;" in table.html()
    console = Console(file=io.StringIO(), width=80)
    console.print(table.rich())
    assert "[bold]<script>" in console.file.getvalue()  # type: ignore[attr-defined]
    assert "[red]<&>" in console.file.getvalue()  # type: ignore[attr-defined]
