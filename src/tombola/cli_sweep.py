"""The command `tombola sweep`: many runs from one file, on one machine or on a cluster."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from tombola.cli_output import new_table, one_line, print_json, print_result, print_table
from tombola.cli_status import FAILED, torch_needed
from tombola.errors import ArgumentError

if TYPE_CHECKING:
    from tombola.experiments.sweep.file import SweepRun


def sweep(
    file: Annotated[Path, tyro.conf.Positional],
    out: Path | None = None,
    engine: Literal["auto", "ray", "here"] = "auto",
    address: str | None = None,
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Run searches or trainings over a grid, a list or random draws of any of their options, with seeds.

    The same command goes on with a sweep that was stopped: finished runs are left as they are, others go
    on from their checkpoints. Exit status 1 if some runs failed; the others are not ended by that.

    Args:
        file: The file that says what to run (docs/sweep.md).
        out: Folder of the runs and of results.csv; None: runs/NAME for a file NAME.toml. All machines of a
            cluster must share the file system that it is on.
        engine: ray: as many runs at a time as fit, on this machine or a cluster. here: one after another in
            this process. auto: ray where it is installed and there is a cluster, or several runs fit.
        address: Ray cluster to run on, such as auto or HOST:6379, typed on one of its machines; None:
            $RAY_ADDRESS, then this machine alone.
        json: Print the results as JSON.
    """
    from tombola.experiments.sweep.file import read_sweep

    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise ArgumentError("a sweep is one process that starts its runs itself: not with torchrun")
    plan = read_sweep(file)
    with torch_needed("sweeping"):
        from tombola.experiments.sweep.sweep import run_sweep
    if plan.merged:
        _say(f"{plan.merged} random draws are the same as others and left out")
    swept = run_sweep(plan, out or Path("runs") / file.stem, engine, address, _say)
    if json:
        rows = [{name: _told(value) for name, value in row.items()} for row in swept.rows]
        print_json({"folder": str(swept.folder), "failed": swept.failed, "runs": rows})
    else:
        _print_combinations(plan.runs, swept.rows)
        print_result({"folder": str(swept.folder), "results": str(swept.folder / "results.csv")})
    for name, error in swept.failed.items():
        _say(f"run {name} failed: {error}")
    return FAILED if swept.failed else 0


def _print_combinations(runs: Sequence[SweepRun], rows: Sequence[Mapping[str, Any]]) -> None:
    """One row for each combination of options, over its seeds: how many of them have finished."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for run, row in zip(runs, rows, strict=True):
        varying = [f"{name}={value}" for name, value in run.options.items() if name != "seed"]
        found.setdefault(" ".join(varying) or "all", []).append(row)
    table = new_table("Mean ± standard deviation over seeds")
    table.add_column("combination", style="cyan", overflow="fold")
    for column in ("runs", "test accuracy", "validation", "density", "bytes", "seconds"):
        table.add_column(column, justify="right", no_wrap=True)
    for combination, all_of in found.items():
        ended = [row for row in all_of if row["state"] == "finished"]
        table.add_row(
            one_line(combination),
            f"{len(ended)}/{len(all_of)}",
            _spread(ended, "test_accuracy", 100, "{:.2f}", " %"),
            _spread(ended, "validation_accuracy", 100, "{:.2f}", " %"),
            _mean(ended, "density", "{:.4f}"),
            _mean(ended, "ticket_bytes", "{:,.0f}") or _mean(ended, "model_bytes", "{:,.0f}"),
            _mean(ended, "seconds", "{:.1f}"),
        )
    print_table(table)


def _told(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value  # JSON has no paths


def _values(rows: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [row[name] for row in rows if row.get(name) is not None]


def _mean(rows: Sequence[Mapping[str, Any]], name: str, shape: str) -> str:
    values = _values(rows, name)
    return shape.format(mean(values)) if values else ""


def _spread(rows: Sequence[Mapping[str, Any]], name: str, factor: float, shape: str, unit: str) -> str:
    values = [factor * value for value in _values(rows, name)]
    if not values:
        return ""
    deviation = f" ± {shape.format(stdev(values))}" if len(values) > 1 else ""
    return f"{shape.format(mean(values))}{deviation}{unit}"


def _say(line: str) -> None:
    print(f"tombola: {one_line(line)}", file=sys.stderr)  # noqa: T201
