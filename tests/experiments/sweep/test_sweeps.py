"""Sweeps in one process: folders, results, resuming, failures, signals."""

from __future__ import annotations

import json
import os
import shutil
import signal
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from sweep_helpers import COMMON, main_thread_only, results, swept, tickets, write_sweep

from commands import WITHOUT_TORCH, Ended, everything_in, python, refusal, result_of, tombola, write_module
from tombola.experiments.config import RunConfig
from tombola.experiments.folder import RunFolder
from tombola.experiments.interrupt import SWEEP_AT_ONCE, Interrupt
from tombola.experiments.search_config import SearchConfig
from tombola.experiments.sweep import here, sweep
from tombola.experiments.sweep.attempt import Attempt, attempt
from tombola.experiments.sweep.file import read_sweep
from tombola.experiments.sweep.folder import table_row
from tombola.report.record import Record

GRID = "seeds = 2\n[grid]\nmethod = ['iterand', 'edge-popup']\n"
NAMES = [f"method={method},seed={seed}" for method in ("iterand", "edge-popup") for seed in (0, 1)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """The folder of a sweep that has ended, not to be written to, and how it ended; the file is beside it."""
    folder = tmp_path_factory.mktemp("whole")
    file = write_sweep(folder / "grid.toml", GRID)
    return folder / "out", swept(file, folder / "out")


def copied(whole: tuple[Path, Ended], folder: Path) -> tuple[Path, Path]:
    """The file and the folder of a copy, to write to."""
    shutil.copytree(whole[0].parent, folder, dirs_exist_ok=True)
    return folder / "grid.toml", folder / "out"


def test_every_run_is_what_the_command_makes_of_it(whole: tuple[Path, Ended], tmp_path: Path) -> None:
    out, ended = whole
    assert ended.status == 0
    assert sorted(tickets(out)) == sorted(NAMES)
    options = "--model mlp --width 0.1 --epochs 2 --batch-size 64 --lr 0.1 --precision float32 --threads 1"
    alone = tombola("search", *options.split(), "--device", "cpu", "--seed", "1", "--out", tmp_path / "run")
    assert alone.status == 0
    assert tickets(out)["method=iterand,seed=1"] == (tmp_path / "run/ticket.tombola").read_bytes()


def test_it_says_that_a_precision_is_emulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "emulation", lambda run: "slow" if run.precision == "bfloat16" else None)
    grid = "seeds = 2\n[grid]\nprecision = ['float32', 'bfloat16']\n"
    file = write_sweep(tmp_path / "four.toml", grid, COMMON.replace('precision = "float32"\n', ""))
    ended = swept(file, tmp_path / "out")
    assert ended.status == 0
    assert ended.err.splitlines()[1] == "tombola: warning: 2 of them: slow"
    assert ended.err.count("slow") == 1


def test_what_it_says(whole: tuple[Path, Ended]) -> None:
    out, ended = whole
    first, *lines = ended.err.splitlines()
    assert first == f"tombola: 4 runs in {out}, one after another in this process"
    assert lines[::2] == [f"{name}: started" for name in NAMES]
    for number, (name, line) in enumerate(zip(NAMES, lines[1::2], strict=True), start=1):
        accuracy = 100 * result_of(out / name)["test_accuracy"]
        assert line.startswith(f"{number}/4 {name}: test {accuracy:.2f} %, ")
    both = [100 * result_of(out / name)["test_accuracy"] for name in NAMES[:2]]
    deviation = abs(both[0] - both[1]) / 2**0.5
    (row,) = [line for line in ended.out.splitlines() if "method=iterand" in line]
    assert "2/2" in row
    assert f"{sum(both) / 2:.2f} ± {deviation:.2f} %" in row
    assert str(out / "results.csv") in ended.out


def test_results_are_a_row_for_each_run(whole: tuple[Path, Ended]) -> None:
    out, _ = whole
    rows = results(out)
    assert list(rows) == NAMES
    for name, row in rows.items():
        result = result_of(out / name)
        assert (row["state"], row["error"]) == ("finished", "")
        assert float(row["test_accuracy"]) == result["test_accuracy"]
        assert (row["digest"], row["seed"]) == (result["digest"], str(result["seed"]))
        assert row["method"] == result["method"]


def test_what_came_out_stands_beside_what_was_asked_for(tmp_path: Path) -> None:
    first = read_sweep(write_sweep(tmp_path / "grid.toml", GRID)).runs[0]
    run = replace(first, options={"density": None, "precision": "auto", "seed": 0})
    row = table_row(run, Attempt({"density": 0.25, "precision": "float32", "seed": 0, "weights": 9}))
    assert row == {
        "run": run.name,
        "state": "finished",
        "density": None,
        "precision": "auto",
        "seed": 0,
        "result.density": 0.25,
        "result.precision": "float32",
        "weights": 9,
        "error": None,
    }


def test_the_folder_holds_the_file_and_records_that_can_be_reported(whole: tuple[Path, Ended]) -> None:
    out, _ = whole
    assert (out / "sweep.toml").read_bytes() == (out.parent / "grid.toml").read_bytes()
    for name in NAMES:
        assert Record.read(out / name).epochs == [1, 2]
        said = (out / name / "log.txt").read_text().splitlines()
        assert said[0].startswith("tombola ")
        assert said[0].endswith(f", process {os.getpid()}")
        assert [line[:11] for line in said[1:]] == ["epoch   1/2", "epoch   2/2"]


def test_a_finished_sweep_is_left_as_it_is(whole: tuple[Path, Ended], tmp_path: Path) -> None:
    file, out = copied(whole, tmp_path)
    before = everything_in(out)
    for engine in ("auto", "ray", "here"):  # none is started
        ended = tombola("sweep", file, "--out", out, "--engine", engine, "--json")
        assert (ended.status, ended.err) == (0, "")
        said = json.loads(ended.out)
        assert (said["folder"], said["failed"]) == (str(out), {})
        assert [row["run"] for row in said["runs"]] == NAMES
        assert {row["run"]: row["digest"] for row in said["runs"]} == {
            name: row["digest"] for name, row in results(out).items()
        }
    after = everything_in(out)
    for written_again in ("sweep.toml", "results.csv"):
        assert after.pop(written_again)[0] == before.pop(written_again)[0]
    assert after == before


def test_a_sweep_may_grow(whole: tuple[Path, Ended], tmp_path: Path) -> None:
    file, out = copied(whole, tmp_path)
    before = everything_in(out)
    write_sweep(file, GRID.replace("seeds = 2", "seeds = [1, 0, 5]"))
    ended = swept(file, out)
    assert ended.status == 0
    assert ended.err.startswith(f"tombola: 6 runs (4 finished before) in {out}, ")
    assert len(tickets(out)) == 6
    after = everything_in(out)
    assert {path: entry for path, entry in after.items() if path in before and "/" in path} == {
        path: entry for path, entry in before.items() if "/" in path
    }


def test_a_sweep_may_not_change(whole: tuple[Path, Ended], tmp_path: Path) -> None:
    file, out = copied(whole, tmp_path)
    before = everything_in(out)
    write_sweep(file, GRID, COMMON.replace("epochs = 2", "epochs = 3"))
    line = refusal("sweep", file, "--out", out)
    assert line == f"cannot resume {out / NAMES[0]}: epochs was 2, now 3"
    write_sweep(file, GRID.replace(", 'edge-popup'", ""))
    line = refusal("sweep", file, "--out", out)
    assert line.startswith(f"{out} holds runs that {file} does not have: {NAMES[2]} and 1 more. ")
    write_sweep(file, GRID + "rate = [0.1]\n")
    assert "holds runs that" in refusal("sweep", file, "--out", out)
    assert everything_in(out) == before


def test_a_folder_that_holds_a_run_or_is_in_use_or_a_file(whole: tuple[Path, Ended], tmp_path: Path) -> None:
    file, out = copied(whole, tmp_path)
    line = refusal("sweep", file, "--out", out / NAMES[0])
    assert line == f"{out / NAMES[0]} holds a run, and no sweep: choose another --out"
    with RunFolder(out).locked():
        assert refusal("sweep", file, "--out", out) == f"{out} is in use by another running process"
    assert "a file is in its place" in refusal("sweep", file, "--out", file)


def test_the_folder_is_called_after_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_sweep(tmp_path / "small.toml", "")
    assert tombola("sweep", "small.toml", "--engine", "here").status == 0
    assert (tmp_path / "runs/small/seed=0/ticket.tombola").exists()


def test_a_failing_run_does_not_end_the_others_and_is_tried_again(tmp_path: Path) -> None:
    file = write_sweep(
        tmp_path / "some.toml",
        f"[[list]]\nweight_decay = 1e38\n[[list]]\ndata = '{tmp_path}/nowhere'\n[[list]]\nperiod = 7\n",
    )
    for finished_before in (0, 1):
        ended = swept(file, tmp_path / "out")
        assert ended.status == 1
        rows = results(tmp_path / "out")
        diverged, missing, fine = rows
        assert fine == "period=7,seed=0"
        assert [row["state"] for row in rows.values()] == ["failed", "failed", "finished"]
        assert "no number any more" in rows[diverged]["error"]
        assert "nowhere is not a folder" in rows[missing]["error"]
        said = [f"tombola: run {name} failed: {rows[name]['error']}" for name in (diverged, missing)]
        assert ended.err.splitlines()[-2:] == said
        # Neither a loss nor an accuracy is shown for what has none.
        assert next(line for line in ended.out.splitlines() if "weight_decay" in line).split()[1:] == ["0/1"]
        assert (f"({finished_before} finished before)" in ended.err) == (finished_before > 0)
    ended = tombola("sweep", file, "--out", tmp_path / "out", "--json", "--engine", "here")
    assert list(json.loads(ended.out)["failed"]) == [diverged, missing]


DIVIDES = """
from torch import nn
class Net(nn.Sequential):
    def forward(self, x):
        return 1 / 0
def net(width, in_channels, classes): return Net(nn.Flatten(), nn.Linear(64, classes))
"""


def test_an_unexpected_error_is_one_line_and_its_traceback_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_module(monkeypatch, tmp_path, "user_divides", DIVIDES)
    file = write_sweep(tmp_path / "some.toml", "", COMMON.replace('"mlp"', '"user_divides:net"'))
    ended = swept(file, tmp_path / "out")
    assert ended.status == 1
    said = "the model cannot answer inputs of shape (64, 1, 8, 8): ZeroDivisionError: division by zero"
    assert ended.err.splitlines()[-1] == f"tombola: run seed=0 failed: {said}"
    assert "Traceback" not in ended.err
    assert "Traceback" in (tmp_path / "out/seed=0/log.txt").read_text()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_stopped_and_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, status: int
) -> None:
    """A signal that comes in the second of three runs, before its first step."""
    main_thread_only()
    file = write_sweep(tmp_path / "some.toml", "seeds = 3")
    out = tmp_path / "out"

    def stopped(config: RunConfig, interrupt: Interrupt) -> Attempt:
        if config.seed == 1:
            os.kill(os.getpid(), number)
        return attempt(config, interrupt)

    with monkeypatch.context() as patch:
        patch.setattr(here, "attempt", stopped)
        ended = swept(file, out)
    assert (ended.status, ended.out) == (status, ""), ended
    said = "tombola: interrupted with 1 of 3 runs finished; the same command goes on"
    assert ended.err.splitlines()[-2:] == ["seed=1: stopped", said]
    assert "epoch 1, step 1;" in (out / "seed=1/log.txt").read_text()
    assert [row["state"] for row in results(out).values()] == ["finished", "stopped", "waiting"]
    before = everything_in(out / "seed=0")
    ended = swept(file, out)
    assert ended.status == 0
    assert ended.err.startswith(f"tombola: 3 runs (1 finished before) in {out}, ")
    assert everything_in(out / "seed=0") == before
    assert swept(file, tmp_path / "whole").status == 0
    assert tickets(out) == tickets(tmp_path / "whole")
    assert len(tickets(out)) == 3


# The command as a shell runs it, preempted at the first opening of a file of that name.
PREEMPTED = """
import os, signal, sys
from tombola.cli import main
name = sys.argv.pop(1)
def audit(event, arguments):
    global name
    if event == "open" and name and name in str(arguments[0]):
        name = ""
        os.kill(os.getpid(), signal.SIGTERM)
sys.addaudithook(audit)
sys.exit(main())
"""
MOMENTS = {
    ".sweep.toml.": SWEEP_AT_ONCE,
    "log.txt": "interrupted with 0 of 1 runs finished; the same command goes on",
}


@pytest.mark.parametrize("name", MOMENTS)
def test_preempted_in_a_process_of_its_own(tmp_path: Path, name: str) -> None:
    """Whose status is the scheduler's sign to run it again."""
    file = write_sweep(tmp_path / "some.toml", "")
    options = ("sweep", file, "--out", tmp_path / "out", "--engine", "here")
    ended = python(PREEMPTED, name, *options, cwd=tmp_path)
    assert (ended.status, ended.out, ended.err.splitlines()[-1]) == (75, "", f"tombola: {MOMENTS[name]}")


def test_what_killed_processes_left_is_removed(whole: tuple[Path, Ended], tmp_path: Path) -> None:
    file, out = copied(whole, tmp_path)
    for name in (".sweep.toml.abcdefgh.partial", ".results.csv.abcdefgh.partial"):
        (out / name).touch()
    assert swept(file, out).status == 0
    assert not list(out.glob("*.partial"))


def test_paths_as_json(tmp_path: Path) -> None:
    given = tmp_path / "no-such-mask"
    file = write_sweep(tmp_path / "some.toml", f"[grid]\nsource_mask = ['{given}']\n")
    ended = swept(file, tmp_path / "out", "--engine", "here", "--json")
    assert ended.status == 1
    (row,) = json.loads(ended.out)["runs"]
    assert (row["source_mask"], row["state"]) == (str(given), "failed")


def test_a_held_run_folder_is_waited_for_or_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a dead machine has left behind may hold the folder a little longer."""
    config = SearchConfig(model="mlp", width=0.1, epochs=1, threads=1, out=tmp_path / "run", resume=True)
    with ExitStack() as held:
        held.enter_context(RunFolder(tmp_path / "run").locked())
        said = f"{tmp_path / 'run'} is in use by another running process"
        assert attempt(config) == Attempt(error=said)
        monkeypatch.setattr("time.sleep", lambda _: held.close())
        assert attempt(config, patience=60).state == "finished"


def test_torch_is_asked_for_once_the_file_is_read(tmp_path: Path) -> None:
    file = write_sweep(tmp_path / "some.toml", "")
    ended = python(WITHOUT_TORCH, "sweep", file, cwd=tmp_path)
    assert (ended.status, ended.out) == (2, "")
    said = "sweeping needs packages that are not installed: pip install 'tombola[torch]'"
    assert ended.complaint == said
    assert list(tmp_path.iterdir()) == [file]


def test_not_with_torchrun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its processes would all sweep the same folder."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert refusal("sweep", write_sweep(tmp_path / "some.toml", "")).endswith(": not with torchrun")


def test_a_log_that_cannot_be_written_fails_the_run(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    ended = attempt(SearchConfig(out=tmp_path / "run", resume=True))
    assert ended == Attempt(error=f"{tmp_path / 'run'}: File exists")
