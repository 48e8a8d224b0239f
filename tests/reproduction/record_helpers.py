"""Records of sweeps that never ran, every run of the files with accuracies that a test makes up, and what is
read off their verdicts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from reproduction.comparison import Finding, Word
from reproduction.records import HERE, SWEPT
from tombola.experiments.search_config import SearchConfig
from tombola.experiments.sweep.attempt import Attempt
from tombola.experiments.sweep.file import SweepRun, read_sweep
from tombola.experiments.sweep.folder import SweepFolder, table_row

VERSIONS = dict.fromkeys(("python", "torch", "tombola", "date"), "0")
MACHINE: dict[str, Any] = {**VERSIONS, "processor": "abacus", "gpu": None, "data": {}}
SWEEPS = HERE / "sweeps"


def pretend(
    kept: Path,
    sweep: str,
    accuracy: Callable[[dict[str, Any]], float],
    nbytes: float = 400_000,
    without: Mapping[str, str] = {},
) -> list[SweepRun]:
    """Write the records of `sweep`, over those that are there: `accuracy` is called with the options of each
    run, seed included; tickets of width 1 take `nbytes`. `without`: runs that have failed, with their error,
    or are waiting, with none.
    """
    runs = list(read_sweep(SWEEPS / f"{sweep}.toml").runs)
    folder = kept / sweep
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(SWEEPS / f"{sweep}.toml", folder / SWEPT)
    assert set(without) <= {run.name for run in runs}
    rows = []
    for run in runs:
        if run.name not in without:
            attempt: Attempt | None = Attempt(_result(run, accuracy, nbytes))
        else:
            attempt = Attempt(error=without[run.name]) if without[run.name] else None
        rows.append(table_row(run, attempt))
    SweepFolder(folder).write_results(rows)
    curve = [
        f"{row['run']!r},{row['seed']},1,2.0,{row['test_accuracy']}".replace("'", '"')
        for row in rows
        if "test_accuracy" in row
    ]
    (folder / "curves.csv").write_text("\n".join(["run,seed,epoch,loss,validation_accuracy", *curve]) + "\n")
    (folder / "machine.json").write_text(json.dumps(MACHINE))
    return runs


def _result(run: SweepRun, accuracy: Callable[[dict[str, Any]], float], nbytes: float) -> dict[str, Any]:
    config = run.config
    right = accuracy({**config.settings(), "seed": config.seed})
    result: dict[str, Any] = {"test_accuracy": right, "validation_accuracy": right, "width": config.width}
    if isinstance(config, SearchConfig):
        size = {"ticket_bytes": int(nbytes * config.width**2)}
        return {**result, **size, "method": config.method, "source_density": config.source_density}
    settings = config.settings()
    if settings["method"] != "dense":
        cut = settings["rule"] == "pyramidal" and settings["source_density"] == 0.01
        result["empty_layers"] = ["fc3.weight"] if cut else []
    return {**result, "method": config.settings()["method"], "model_bytes": int(9_000_000 * config.width**2)}


def words(found: list[Finding], *parts: str) -> set[Word]:
    """The verdicts of the statements that have all of `parts` in them; there has to be one."""
    chosen = {finding.word for finding in found if all(part in finding.statement for part in parts)}
    assert chosen
    return chosen


def noise(options: dict[str, Any]) -> float:
    return (-0.001, 0.0, 0.001)[options["seed"]]
