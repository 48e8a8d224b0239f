"""How the library's objects look in a notebook or a terminal: a few facts, and a row for each tensor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt
    from rich.table import Table as RichTable

# A Transformer has hundreds of tensors: the first and the last of them say what there is.
_MOST_ROWS = 24


@dataclass(frozen=True)
class Table:
    """A title, facts, and rows of texts under `columns`, of which the first is on the left."""

    title: str
    facts: Mapping[str, str]
    columns: Sequence[str]
    rows: Sequence[Sequence[str]] = field(default_factory=list)

    def html(self) -> str:
        """For a notebook."""
        facts = " · ".join(f"{escape(name)} <b>{escape(value)}</b>" for name, value in self.facts.items())
        lines = [_html_row("th", self.columns), *(_html_row("td", row) for row in self._some())]
        return f"<div><b>{escape(self.title)}</b><br>{facts}<table>{''.join(lines)}</table></div>"

    def rich(self) -> RichTable:
        """For a terminal, by `rich.print`."""
        from rich.markup import escape as plain
        from rich.table import Table as RichTable

        facts = "  ".join(f"{name} {value}" for name, value in self.facts.items())
        table = RichTable(title=plain(f"{self.title}\n{facts}"))
        for number, column in enumerate(self.columns):
            table.add_column(plain(column), justify="right" if number else "left")
        for row in self._some():
            table.add_row(*(plain(cell) for cell in row))
        return table

    def _some(self) -> list[Sequence[str]]:
        rows, half = list(self.rows), _MOST_ROWS // 2
        if len(rows) <= _MOST_ROWS:
            return rows
        left_out = [f"… {len(rows) - 2 * half} more …", *[""] * (len(self.columns) - 1)]
        return [*rows[:half], left_out, *rows[-half:]]


class Shown(ABC):
    """What has a table, and so a display in notebooks (`_repr_html_`) and with `rich` (`__rich__`)."""

    @abstractmethod
    def table(self) -> Table:
        """The facts and rows to show."""

    def _repr_html_(self) -> str:
        return self.table().html()

    def __rich__(self) -> RichTable:
        return self.table().rich()


def mask_table(title: str, facts: Mapping[str, object], mask: Mapping[str, npt.NDArray[np.bool_]]) -> Table:
    """A row for each tensor of a mask: shape, weights, kept, density."""
    rows = []
    for name, kept in mask.items():
        count = int(np.count_nonzero(kept))
        shape = " × ".join(str(size) for size in kept.shape)
        rows.append((name, shape, f"{kept.size:,}", f"{count:,}", f"{count / max(1, kept.size):.4g}"))
    texts = {name: _text(value) for name, value in facts.items()}
    return Table(title, texts, ("tensor", "shape", "weights", "kept", "density"), rows)


def progress_table(method: Shown, steps: int, seed: int, mask: Mapping[str, npt.NDArray[np.bool_]]) -> Table:
    """Of a search or a training: how far it is, and the weights kept now."""
    total, kept = sum(one.size for one in mask.values()), sum(int(one.sum()) for one in mask.values())
    facts = {"steps": steps, "seed": seed, "weights": total, "density": kept / max(1, total)}
    return mask_table(type(method).__name__, facts, mask)


def _text(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _html_row(kind: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{kind}>{escape(cell)}</{kind}>' for cell in cells)}</tr>"
