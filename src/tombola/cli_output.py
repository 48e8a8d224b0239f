"""What the commands print: tables for people, JSON for machines."""

from __future__ import annotations

import io
import json
import math
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # neither rich nor numpy is to be waited for where they are not used
    from rich.table import Table
    from rich.text import Text

    from tombola.ticket import Ticket
    from tombola.ticket.anatomy import LayerAnatomy

# In a narrower terminal a table would have no room for names: it gets a line for each cell.
_LEAST_WIDTH = 76
_MOST_PADDED = 40
_COLOURS = {"density": "green", "redraws": "yellow", "bits/w": "magenta"}


def print_json(values: Mapping[str, Any]) -> None:
    """One JSON object, of which JSON has no word for a number that is not finite: null."""
    print(json.dumps(_finite(values), indent=2, allow_nan=False))  # noqa: T201


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, (list, tuple)) else value


def print_result(values: Mapping[str, Any]) -> None:
    """One `name  value` line for each entry; fractions called accuracy as percentages."""
    names = {name: one_line(name.replace("_", " ")) for name in values}
    # A long one, which a stranger may have chosen, does not widen the lines of all others.
    width = min(_MOST_PADDED, max(map(len, names.values())))
    for name, value in values.items():
        print(f"{names[name]:<{width}}  {_shown(name, value)}")  # noqa: T201


def print_ticket(ticket: Ticket, as_json: bool) -> None:
    """A ticket's tensors and totals."""
    summary = summarise(ticket)
    if as_json:
        print_json(summary)
        return
    table = new_table("Random tensors: drawn from the seed, kept where the mask says", show_footer=True)
    table.add_column("tensor", footer="all", style="cyan", overflow="fold")
    totals = _totals(summary)
    if summary["source_density"] == 1.0:
        del totals["source"]  # a column of ones
    for column, footer in totals.items():
        table.add_column(column, footer=footer, justify="right", no_wrap=True, style=_COLOURS.get(column))
    for row in summary["tensors"]:
        cells = _cells(row)
        table.add_row(_plain(row["name"]), *(cells[column] for column in totals))
    print_table(table)
    print_result({name: value for name, value in summary.items() if name not in ("tensors", "metadata")})
    if summary["metadata"]:
        print_result({f"metadata: {name}": value for name, value in summary["metadata"].items()})


def print_densities(rules: Mapping[str, Mapping[str, float]], sizes: Mapping[str, int]) -> None:
    """{rule: {layer: p_l}} as a table, and what these come to over all `sizes`."""
    total = sum(sizes.values())
    table = new_table("Density of each layer, by rule", show_footer=True)
    table.add_column("layer", footer="all", style="cyan", overflow="fold")
    table.add_column("weights", footer=f"{total:,}", justify="right", no_wrap=True)
    for rule, found in rules.items():
        overall = sum(sizes[name] * found[name] for name in sizes) / total
        table.add_column(rule, footer=f"{overall:.6g}", justify="right", no_wrap=True, style="green")
    for name, size in sizes.items():
        densities = (f"{found[name]:.4g}" for found in rules.values())
        table.add_row(_plain(name), f"{size:,}", *densities)
    print_table(table)


def _plain(name: str) -> Text:
    """A cell in which brackets are no markup."""
    from rich.text import Text

    return Text(one_line(name))


def new_table(title: str, show_footer: bool = False) -> Table:
    """An empty table of the look that all have."""
    from rich.box import SIMPLE
    from rich.table import Table

    return Table(title=title, box=SIMPLE, show_footer=show_footer, padding=0)


def print_table(table: Table) -> None:
    """A table, as wide as the terminal or, in a file or a pipe, as it needs."""
    from rich.console import Console

    # Names in a file or a pipe are never cut short.
    console = Console(width=Console().width if sys.stdout.isatty() else 1000)
    if console.width < _LEAST_WIDTH:
        print(_listed(table))  # noqa: T201
        return
    with console.capture() as captured:  # rich would end the process itself when the pipe is closed
        console.print(table)
    print(captured.get(), end="")  # noqa: T201


def _listed(table: Table) -> str:
    """A table as one line for each cell, which the terminal may break."""
    rows = list(zip(*(column.cells for column in table.columns), strict=True))
    lines = [str(table.title)]
    for row in rows:
        lines.append("")
        lines += [f"{column.header}  {cell}".strip() for column, cell in zip(table.columns, row, strict=True)]
    if table.show_footer:
        lines.append("")
        lines += [f"{column.header}  {column.footer}" for column in table.columns if column.footer]
    return "\n".join([*lines, ""])


def summarise(ticket: Ticket) -> dict[str, Any]:
    """What `inspect` shows of a ticket, as plain values."""
    from tombola.ticket.anatomy import anatomy
    from tombola.ticket.container import FORMAT, VERSION

    layers = anatomy(ticket)
    return {
        "tensors": [_tensor_row(layer) for layer in layers],
        "seed": ticket.seed,
        "init": ticket.recipe.init,
        "weights": ticket.mask.total,
        "alive": (alive := sum(layer.alive for layer in layers)),
        "source_density": alive / ticket.mask.total if ticket.mask.total else 1.0,
        "kept": ticket.mask.kept,
        "density": ticket.density,
        "ticket_bytes": ticket.nbytes,
        "mask_bytes": _whole_bytes(layer.mask_bits for layer in layers),
        "redraw_bytes": _whole_bytes(layer.redraw_bits + layer.count_bits for layer in layers),
        "statistics_bytes": sum(values.nbytes for values in ticket.statistics.values()),
        "bits_per_weight": ticket.bits_per_weight,
        "fixed_parameters": sum(math.prod(fixed.shape) for fixed in ticket.fixed),
        "statistics": sum(values.size for values in ticket.statistics.values()),
        "format": f"{FORMAT} {VERSION}",
        "digest": ticket.digest,
        "metadata": ticket.metadata,
    }


def _tensor_row(layer: LayerAnatomy) -> dict[str, Any]:
    return {
        "name": layer.name,
        "shape": list(layer.shape),
        "weights": layer.weights,
        "alive": layer.alive,
        "source_density": layer.alive / layer.weights if layer.weights else 1.0,
        "kept": layer.kept,
        "density": layer.kept / layer.weights if layer.weights else 0.0,
        "generations": layer.redraws,
        "flips": layer.flips,
        "bits": layer.bits,
        "bits_per_weight": layer.bits_per_weight,
    }


def _cells(row: Mapping[str, Any]) -> dict[str, str]:
    """A row of the table by column."""
    return {
        "shape": "×".join(str(size) for size in row["shape"]),
        "source": f"{row['source_density']:.4f}",
        **{name: f"{row[name]:,}" for name in ("alive", "kept")},
        "density": f"{row['density']:.4f}",
        "redraws": f"{row['flips']:,} flips" if row["flips"] else f"{row['generations']:,} gen.",
        "bits/w": f"{row['bits_per_weight']:.3f}",
    }


def _totals(summary: Mapping[str, Any]) -> dict[str, str]:
    """The table's last row by column: the layers together, so without what stands beside them."""
    bits = sum(row["bits"] for row in summary["tensors"])
    whole = {**summary, "shape": [], "flips": 0, "generations": 0, "bits": bits}
    whole["bits_per_weight"] = bits / summary["weights"] if summary["weights"] else 0.0
    return {**_cells(whole), "redraws": ""}


def _whole_bytes(bits: Iterable[float]) -> int:
    return round(sum(bits) / 8)


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name.endswith("accuracy") and isinstance(value, float):
        return f"{100 * value:.2f} %"
    if isinstance(value, float):
        return f"{value:.4g}"
    counts = isinstance(value, int) and name != "seed"
    return f"{value:,}" if counts else one_line(str(value))


def one_line(text: str) -> str:
    """`text` with whatever could break a line, or drive a terminal, escaped: a ticket's author is not
    trusted with either.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def open_streams() -> None:
    """Make standard output and error such that printing never fails for their own sake: Python has
    None for one that is closed, and refuses what a poor encoding cannot say.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - for as long as the process lives
        elif isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def mute() -> None:
    """Send what is left of standard output nowhere: it is closed or full, and the interpreter would
    complain once more when it ends.
    """
    try:
        sys.stdout.flush()
    except OSError:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
