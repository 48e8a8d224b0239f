"""The folder of a sweep: its lock, what is left of earlier processes, and the table of results.

sweep.toml       the file that was last swept
results.csv      one row for each run: its state, the options that vary, what its result.json says
NAME/            the folder of a run, as `tombola search` or `train` writes it, and its log.txt
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tombola.errors import RunError
from tombola.experiments.folder import RunFolder
from tombola.experiments.run import located
from tombola.experiments.sweep.attempt import Attempt
from tombola.experiments.sweep.file import Sweep, SweepRun
from tombola.files import remove_leftovers, write_atomically

Row = dict[str, Any]


class SweepFolder:
    """A folder that holds the runs of one sweep."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.file = self.path / "sweep.toml"
        self.results = self.path / "results.csv"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process. Raises RunError where it holds a run, or is in use."""
        if RunFolder(self.path).config.exists():
            raise RunError(f"{self.path} holds a run, and no sweep: choose another --out")
        with RunFolder(self.path).locked():
            for file in (self.file, self.results):
                remove_leftovers(self.path, file.name)
            yield

    def open(self, sweep: Sweep) -> tuple[list[SweepRun], dict[str, Attempt]]:
        """The runs with their folders in here, and those that have finished already.

        Raises RunError where a run in here is not of the sweep, or ArgumentError where it was begun with
        other options; nothing is written then.
        """
        runs = [self._placed(run) for run in sweep.runs]
        names = {run.name for run in runs}
        foreign = sorted(path.parent.name for path in self.path.glob("*/config.toml"))
        foreign = [name for name in foreign if name not in names]
        if foreign:
            more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
            raise RunError(
                f"{self.path} holds runs that {sweep.path} does not have: {foreign[0]}{more}. A sweep may "
                "only grow: choose another --out, or move them away"
            )
        finished = {run.name: attempt for run in runs if (attempt := _finished(run))}
        write_atomically(self.file, sweep.text)
        return runs, finished

    def write_results(self, rows: list[Row]) -> None:
        """Write results.csv whole."""
        columns = {name: None for row in rows for name in row if name != "error"}
        text = io.StringIO()
        writer = csv.DictWriter(text, [*columns, "error"], lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
        write_atomically(self.results, text.getvalue().encode())

    def _placed(self, run: SweepRun) -> SweepRun:
        config = located(replace(run.config, out=self.path / run.name, resume=True))
        if config.data_dir is not None:
            config = replace(config, data_dir=config.data_dir.expanduser().absolute())
        return replace(run, config=config)


def table_row(run: SweepRun, attempt: Attempt | None) -> Row:
    """What results.csv says of a run; None: it waits. Options are as they were asked for; what came out under
    the same name stands beside them as `result.NAME`, where it is another value.
    """
    result = {} if attempt is None or attempt.result is None else attempt.result
    asked = run.options
    told: Mapping[str, Any] = {
        f"result.{name}" if name in asked else name: value
        for name, value in result.items()
        if name not in asked or value != asked[name]
    }
    return {
        "run": run.name,
        "state": "waiting" if attempt is None else attempt.state,
        **run.options,
        **told,
        "error": None if attempt is None else attempt.error,
    }


def _finished(run: SweepRun) -> Attempt | None:
    """What came of a run that an earlier process has ended."""
    assert run.config.out is not None
    folder = RunFolder(run.config.out)
    if not folder.config.exists():
        return None
    run.config.completed(type(run.config).from_toml(folder.config))
    result = folder.finished()
    return None if result is None else Attempt(result)


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, (list, dict)) else value
