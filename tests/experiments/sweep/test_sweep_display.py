"""What a sweep shows: plain lines in a file, a table of what runs on a terminal."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from tombola.experiments.search_config import SearchConfig
from tombola.experiments.sweep.attempt import Attempt
from tombola.experiments.sweep.display import SweepDisplay
from tombola.experiments.sweep.file import SweepRun
from tombola.experiments.train_config import TrainConfig

FINISHED = Attempt({"test_accuracy": 0.5, "seconds": 1.25})


def made(folder: Path, seed: int, epoch: int = 0) -> SweepRun:
    """A run that has ended `epoch` epochs."""
    config = SearchConfig(seed=seed, epochs=9, out=folder / f"seed={seed}")
    assert config.out is not None
    config.out.mkdir()
    rows = [{"epoch": number, "validation_accuracy": 0.25} for number in range(1, epoch + 1)]
    (config.out / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return SweepRun(config.out.name, {"seed": seed}, config)


def drawn(display: SweepDisplay, width: int = 80, height: int = 24) -> list[str]:
    """The lines of the table as it is now."""
    console = Console(file=io.StringIO(), width=width, height=height)
    with console.capture() as captured:
        console.print(display.table())
    return [line.strip() for line in captured.get().splitlines() if line.strip()]


def test_plain_lines_in_a_file(tmp_path: Path) -> None:
    file = io.StringIO()
    one, two, three = (made(tmp_path, seed) for seed in range(3))
    with SweepDisplay(4, 1, Console(file=file, width=20)) as display:
        for run in (one, two, three):
            display.begun(run)
        display.ended(one, FINISHED)
        display.ended(two, Attempt(error="some [red]reason"))
        display.ended(three, Attempt())
    assert file.getvalue().splitlines() == [
        "seed=0: started",
        "seed=1: started",
        "seed=2: started",
        "2/4 seed=0: test 50.00 %, 1.2 s",
        "3/4 seed=1: failed: some [red]reason",
        "seed=2: stopped",
    ]


def test_the_table_is_of_what_runs(tmp_path: Path) -> None:
    display = SweepDisplay(9, 2, Console(file=io.StringIO()))
    (totals,) = drawn(display)
    assert re.fullmatch(r"2 of 9 runs finished, 0:00:0\d gone", totals)
    for run in (first := made(tmp_path, 0, epoch=3), made(tmp_path, 1), third := made(tmp_path, 2)):
        display.begun(run)
    display.ended(third, Attempt(error="bad"))
    totals, heading, _, *rows = drawn(display)
    assert re.fullmatch(r"2 of 9 runs finished, 1 failed, 0:00:0\d gone, about 0:0\d:\d\d left", totals)
    assert heading.split() == ["running", "epoch", "validation", "time"]
    assert [row.split()[:4] for row in rows] == [
        ["seed=0", "3/9", "25.00", "%"],
        ["seed=1", "0/9", "-", rows[1].split()[3]],
    ]
    display.ended(first, FINISHED)
    assert drawn(display)[0].startswith("3 of 9 runs finished, 1 failed, ")
    assert len(drawn(display)) == 4


def test_a_low_terminal_and_long_names(tmp_path: Path) -> None:
    display = SweepDisplay(20, 0, Console(file=io.StringIO(), height=12))
    for seed in range(20):
        display.begun(replace(made(tmp_path, seed), name=f"{'long' * 30},seed={seed}"))
    lines = drawn(display, width=60)
    assert len(lines) < 12
    assert all(len(line) <= 60 for line in lines)
    assert lines[-1] == "… and 16 more"


def test_rounds_of_imp_are_counted(tmp_path: Path) -> None:
    config = TrainConfig(method="imp", density=0.1, rounds=2, epochs=5, rewind_epochs=1, out=tmp_path)
    display = SweepDisplay(1, 0, Console(file=io.StringIO()))
    display.begun(SweepRun("one", {}, config))
    assert drawn(display)[-1].split()[1] == "0/13"


def test_a_terminal_keeps_a_line_for_what_has_ended(tmp_path: Path) -> None:
    file = io.StringIO()
    run = made(tmp_path, 0)
    with SweepDisplay(2, 0, Console(file=file, force_terminal=True, width=80)) as display:
        display.begun(run)
        display.ended(run, FINISHED)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue())
    assert "1/2 seed=0: test 50.00 %, 1.2 s" in text
    assert "0 of 2 runs finished" in text
    assert file.getvalue().count("\x1b[?25l") == file.getvalue().count("\x1b[?25h") > 0  # the cursor


def test_the_table_is_taken_down_on_an_error() -> None:
    file = io.StringIO()
    with pytest.raises(ZeroDivisionError), SweepDisplay(1, 0, Console(file=file, force_terminal=True)):
        raise ZeroDivisionError
    assert file.getvalue().count("\x1b[?25l") == file.getvalue().count("\x1b[?25h") > 0
