"""The runs in and below some folders, as a sweep leaves them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from tombola.errors import ArgumentError, RunError
from tombola.report.run import Run, is_run


def find_runs(folders: Sequence[Path]) -> tuple[list[Run], list[str]]:
    """The runs in `folders` and below them, each once, in the order of their names; and one line for each
    whose records are damaged, which is left out.

    Raises ArgumentError for no folder at all, RunError where there is no run in one of them.
    """
    if not folders:
        raise ArgumentError("a report needs at least one folder of runs")
    runs, damaged = [], []
    seen: set[Path] = set()
    for given in folders:
        none_yet = True
        for folder in _below(given):
            none_yet = False
            if folder.resolve() in seen:
                continue
            seen.add(folder.resolve())
            try:
                runs.append(Run.read(folder, _name(folder, given, alone=len(folders) == 1)))
            except RunError as error:
                damaged.append(str(error))
        if none_yet:
            raise RunError(f"{given} holds no run" if given.exists() else f"{given} does not exist")
    return runs, damaged


def _below(given: Path) -> Iterator[Path]:
    """Folders of runs, none of them within another."""
    for root, names, _ in os.walk(given):
        if is_run(Path(root)):
            names.clear()
            yield Path(root)
        names[:] = sorted(name for name in names if not name.startswith("."))


def _name(folder: Path, given: Path, alone: bool) -> str:
    """What tells a run from the others, without where they all are."""
    own = given.resolve().name
    if folder == given:
        return own
    below = folder.relative_to(given)
    return (below if alone else own / below).as_posix()
