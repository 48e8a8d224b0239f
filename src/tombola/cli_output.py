"""What the commands print: tables for people, JSON for machines."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tombola.ticket import Ticket


def print_json(values: Mapping[str, Any]) -> None:
    """One JSON object."""
    print(json.dumps(values, indent=2))  # noqa: T201


def print_result(values: Mapping[str, Any]) -> None:
    """One `name  value` line for each entry; fractions called accuracy as percentages."""
    width = max(len(name) for name in values)
    for name, value in values.items():
        print(f"{one_line(name.replace('_', ' ')):<{width}}  {_shown(name, value)}")  # noqa: T201


def print_ticket(ticket: Ticket, as_json: bool) -> None:
    """A ticket's tensors and totals."""
    summary = summarise(ticket)
    if as_json:
        print_json(summary)
        return
    table = Table(title="Random tensors: drawn from the seed, kept where the mask says")
    table.add_column("tensor")
    for column in ("shape", "weights", "alive", "kept", "density", "generations"):
        table.add_column(column, justify="right")
    for row in summary["tensors"]:
        shape = "×".join(str(size) for size in row["shape"])
        numbers = (f"{row[name]:,}" for name in ("weights", "alive", "kept"))
        # Text: brackets in a name are no markup.
        name = Text(one_line(row["name"]))
        table.add_row(name, shape, *numbers, f"{row['density']:.4f}", str(row["generations"]))
    # Names in a file or a pipe are never cut short.
    console = Console(width=None if sys.stdout.isatty() else 1000)
    with console.capture() as captured:  # rich would end the process itself when the pipe is closed
        console.print(table)
    print(captured.get(), end="")  # noqa: T201
    print_result({name: value for name, value in summary.items() if name not in ("tensors", "metadata")})
    if summary["metadata"]:
        print_result({f"metadata: {name}": value for name, value in summary["metadata"].items()})


def summarise(ticket: Ticket) -> dict[str, Any]:
    """What `inspect` shows of a ticket, as plain values."""
    return {
        "tensors": [_tensor_row(ticket, name) for name in ticket.mask],
        "seed": ticket.seed,
        "init": ticket.recipe.init,
        "weights": ticket.mask.total,
        "density": ticket.density,
        "ticket_bytes": ticket.nbytes,
        "bits_per_weight": ticket.bits_per_weight,
        "fixed_parameters": sum(int(np.prod(fixed.shape)) for fixed in ticket.fixed),
        "statistics": sum(values.size for values in ticket.statistics.values()),
        "digest": ticket.digest,
        "metadata": ticket.metadata,
    }


def _tensor_row(ticket: Ticket, name: str) -> dict[str, Any]:
    mask, generations = ticket.mask[name], ticket.generations[name]
    kept = int(np.count_nonzero(mask))
    tensor = next(tensor for tensor in ticket.recipe.tensors if tensor.name == name)
    return {
        "name": name,
        "shape": list(mask.shape),
        "weights": mask.size,
        "alive": int(np.count_nonzero(ticket.recipe.alive(tensor))),
        "kept": kept,
        "density": kept / mask.size if mask.size else 0.0,
        "generations": int(np.unique(generations).size),
    }


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
