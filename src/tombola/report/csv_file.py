"""Runs as a CSV file, one row for each."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tombola.files import write_atomically
from tombola.report.run import Run


def write_csv(runs: Sequence[Run], path: Path) -> None:
    """Write one row a run: its name, folder and state, what came out, and each option as `option.NAME`.

    Raises OSError where the file cannot be written.
    """
    rows = [_row(run) for run in runs]
    columns = {name: None for row in rows for name in row}  # in the order in which they are met
    ordered = sorted(columns, key=lambda name: name.startswith("option."))
    text = io.StringIO()
    table = csv.DictWriter(text, ordered, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_atomically(path, text.getvalue().encode())


def _row(run: Run) -> dict[str, Any]:
    # By name, as its record has it: None is an empty cell, a list its JSON-like text.
    options = {f"option.{name}": value for name, value in run.settings.items()}
    return {
        "run": run.name,
        "folder": str(run.folder),
        "state": "finished" if run.finished else "unfinished",
        "epochs_done": run.epochs[-1] if run.epochs else 0,
        **(run.result or {}),
        **options,
    }
