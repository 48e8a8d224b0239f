"""The command `tombola report`: runs as a page, a table or a picture, from their records alone."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Any

import tyro

from tombola.cli_output import print_json, print_result
from tombola.errors import ArgumentError


def report(
    runs: Annotated[tuple[Path, ...], tyro.conf.Positional],
    out: Path | None = None,
    png: Path | None = None,
    csv: Path | None = None,
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Show runs: as a page to look through, a table, or a picture of their accuracies over epochs.

    Args:
        runs: Folders of runs, or (for --out and --csv) folders that hold them, such as a sweep's.
        out: The page to write: one HTML file, which needs no network.
        png: The picture to write, with some of the first run's answers; of finished runs.
        csv: The table to write, one row a run.
        json: Print the result as JSON.
    """
    if out is None and png is None and csv is None:
        raise ArgumentError("say what to write: --out report.html, --csv FILE or --png FILE")
    result: dict[str, Any] = {}
    if out is not None or csv is not None:
        from tombola.report.runs import find_runs

        found, damaged = find_runs(runs)
        for line in damaged:
            warnings.warn(f"{line}: left out", stacklevel=2)
        if not found:
            raise ArgumentError("the records of all runs are damaged: there is nothing to report")
        result |= {"runs": len(found), "left_out": len(damaged)}
        if out is not None:
            from tombola.report.page import write_page

            write_page(found, damaged, out)
            result["page"] = str(out)
        if csv is not None:
            from tombola.report.csv_file import write_csv

            write_csv(found, csv)
            result["table"] = str(csv)
    if png is not None:
        from tombola.report.picture import draw

        draw(runs, png)
        result["picture"] = str(png)
    print_json(result) if json else print_result(result)
    return 0
