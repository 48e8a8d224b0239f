"""A sweep from its file to its table of results: what is to be run, by which engine, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tombola.experiments.interrupt import Interrupt, Interrupted
from tombola.experiments.machine import emulation
from tombola.experiments.sweep.attempt import Attempt
from tombola.experiments.sweep.choice import Name, choose
from tombola.experiments.sweep.display import SweepDisplay
from tombola.experiments.sweep.engine import Engine
from tombola.experiments.sweep.file import Sweep, SweepRun
from tombola.experiments.sweep.folder import Row, SweepFolder, table_row


@dataclass(frozen=True)
class Swept:
    """The folder of a sweep that has come to its end, and a row for each of its runs, as in results.csv."""

    folder: Path
    rows: list[Row]

    @property
    def failed(self) -> dict[str, str]:
        """{name: one line} of the runs that failed."""
        return {row["run"]: row["error"] for row in self.rows if row["state"] == "failed"}


def run_sweep(
    sweep: Sweep, out: Path, engine: Name, address: str | None, say: Callable[[str], None]
) -> Swept:
    """Run what is left of `sweep` in the folder `out`; `say` is told what is going to be done.

    A run that fails does not end the others, and is tried again by the next call. Raises RunError or
    ArgumentError, before any run begins, where the folder is in use or holds something else, or the engine
    is not to be had; Interrupted on a signal, after the checkpoints of what was running.
    """
    folder = SweepFolder(out)
    with folder.locked():
        runs, board = folder.open(sweep)
        left = [run for run in runs if run.name not in board]
        if left:
            chosen = choose(engine, address, sweep.resources, len(left), folder.path / "ray.log")
            done = f" ({len(board)} finished before)" if board else ""
            say(f"{len(runs)} runs{done} in {out}, {chosen.title}")
            if chosen.on_this_machine:
                # The runs say so in their logs, which nobody reads while a sweep seems to stand still. Asking
                # for a GPU would take some of its memory.
                on_cpu = [run.config for run in left if run.config.device == "cpu"]
                if slow := [line for config in on_cpu if (line := emulation(config))]:
                    say(f"warning: {len(slow)} of them: {slow[0]}")
            if status := _run(left, board, folder, runs, chosen):
                finished = sum(attempt.state == "finished" for attempt in board.values())
                raise Interrupted(
                    f"interrupted with {finished} of {len(runs)} runs finished; the same command goes on",
                    status,
                )
        rows = _write(folder, runs, board)
    return Swept(out, rows)


def _run(
    left: list[SweepRun], board: dict[str, Attempt], folder: SweepFolder, runs: list[SweepRun], engine: Engine
) -> int | None:
    """Run what is left, and write down what comes of it; the exit status if a signal has ended that."""
    interrupt = Interrupt()
    display = SweepDisplay(len(runs), len(board))
    with interrupt.watched(), closing(engine.run(left, interrupt)) as events, display:
        for run, attempt in events:
            if attempt is None:
                display.begun(run)
                continue
            board[run.name] = attempt
            display.ended(run, attempt)
            _write(folder, runs, board)
        status = interrupt.settled()
    ended = sum(attempt.state != "stopped" for attempt in board.values())
    return None if ended == len(runs) else status


def _write(folder: SweepFolder, runs: list[SweepRun], board: dict[str, Attempt]) -> list[Row]:
    rows = [table_row(run, board.get(run.name)) for run in runs]
    folder.write_results(rows)
    return rows
