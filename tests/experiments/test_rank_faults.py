"""What is wrong in one of several processes ends all of them, with a line that says what it was."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from rank_helpers import Pair

from commands import TINY, Ended, everything_in, metrics_of, tombola
from tombola import ArgumentError, DataError, data
from tombola.cli_status import rank
from tombola.experiments import machine
from tombola.experiments.folder import RunFolder
from tombola.experiments.machine import Machine
from tombola.experiments.ranks import joined

LOST = "another process of the run has ended, or cannot be reached; see its own message"


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()


def with_other_data(out: str) -> Ended:
    load = data.load
    with mock.patch.object(
        data, "load", lambda *given, **options: load(*given, **{**options, "seed": rank()})
    ):
        return tombola("search", *TINY, "--out", out)


def test_processes_with_other_data_are_named(pair: Pair, tmp_path: Path) -> None:
    ends = pair(with_other_data, str(tmp_path / "run"))
    for end in ends:
        assert end.status == 2
        assert "the processes do not find the same data: other than rank 0 rank 1 on " in end.err
    assert not (tmp_path / "run").exists()


def without_data(out: str) -> Ended:
    def load(*given: Any, **options: Any) -> Any:
        if rank() == 1:
            raise DataError("no such folder")
        return real(*given, **options)

    real = data.load
    with mock.patch.object(data, "load", load):
        return tombola("search", *TINY, "--out", out)


def test_a_process_without_data_ends_the_others(pair: Pair, tmp_path: Path) -> None:
    first, second = pair(without_data, str(tmp_path / "run"))
    assert (first.status, second.status) == (2, 2)
    assert first.complaint == LOST
    assert second.complaint == "rank 1: no such folder"
    assert not (tmp_path / "run").exists()


def in_their_own(function: Callable[[str], Ended], out: str) -> list[Ended]:
    """What the function, of this module, ends with in two processes that end with it: the others only notice
    when its connections are gone, which a process that lives on may still hold. What is on stdout is the
    threads that the function has left of its group.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = f"""import sys; from {__name__} import {function.__name__} as function, threads_of_groups
ended = function(sys.argv[1]); print(*threads_of_groups())
sys.stderr.write(ended.err); sys.exit(ended.status)"""
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    shared |= {"GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": os.pathsep.join(sys.path)}
    begun = [
        subprocess.Popen(
            [sys.executable, "-c", code, out],
            env={**os.environ, **shared, "RANK": number, "LOCAL_RANK": number},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in "01"
    ]
    said = [process.communicate(timeout=120) for process in begun]
    return [Ended(process.returncode, *texts) for process, texts in zip(begun, said, strict=True)]


def threads_of_groups() -> list[str]:
    """Names of the threads of this process that serve a process group; none where there is no /proc."""
    names = [file.read_text().strip() for file in Path("/proc/self/task").glob("*/comm")]
    return [name for name in names if "gloo" in name or "tcpstore" in name]


def on_a_full_disk(out: str) -> Ended:
    save = RunFolder.save_checkpoint

    def full(folder: RunFolder, state: Any) -> None:
        if state["epoch"] == 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(folder.latest))
        save(folder, state)

    with mock.patch.object(RunFolder, "save_checkpoint", full):
        return tombola("search", *TINY, "--out", out)


def test_a_full_disk_of_the_first_ends_the_others(tmp_path: Path) -> None:
    first, second = in_their_own(on_a_full_disk, str(tmp_path / "run"))
    assert (first.status, second.status) == (3, 2)
    assert "No space left on device (the last checkpoint is kept" in first.err
    assert second.complaint == f"rank 1: {LOST}"
    assert (first.out.strip(), second.out.strip()) == ("", "")
    assert "checkpoint/latest.pt" in everything_in(tmp_path / "run")


def with_its_threads(out: str) -> Ended:
    with joined() as ranks:
        ranks.greatest(0)  # or they may not have their names yet
        within = " ".join(threads_of_groups())
    return replace(tombola("search", *TINY, "--out", out), err=within)


@pytest.mark.skipif(sys.platform != "linux", reason="sees threads in /proc")
def test_no_thread_of_the_group_outlives_it(tmp_path: Path) -> None:
    # One that still holds a tensor while Python ends aborts the process, once in some hundred times.
    for end in in_their_own(with_its_threads, str(tmp_path / "run")):
        assert end.status == 0
        assert "pt_gloo_runloop" in end.err
        assert end.out.strip() == ""


def with_another_processor(out: str) -> tuple[int, str, bool]:
    """The status, the precision in this process, and whether it says that the second's is slow: bfloat16 is
    native to the first's processor alone.
    """
    taken = []
    prepare = Machine.prepare

    def prepared(config: Any) -> Machine:
        taken.append(config.precision)
        return prepare(config)

    with (
        mock.patch.object(machine, "has_bfloat16", lambda _: rank() == 0),
        mock.patch.object(Machine, "prepare", prepared),
        mock.patch.object(torch.cpu, "get_capabilities", lambda: {"architecture": "x86_64"}),
    ):
        ended = tombola("search", *TINY, "--epochs", "1", "--precision", "auto", "--out", out)
    return ended.status, taken[0], "warning: rank 1: precision bfloat16 is emulated" in ended.err


def test_all_compute_as_the_first_does(pair: Pair, tmp_path: Path) -> None:
    assert pair(with_another_processor, str(tmp_path / "run")) == [
        (0, "bfloat16", True),
        (0, "bfloat16", False),
    ]
    assert len(metrics_of(tmp_path / "run")) == 1


def on_processors(gpus: bool) -> str:
    with (
        mock.patch.object(torch.cuda, "is_available", return_value=True),
        mock.patch.object(torch.cuda, "device_count", return_value=0),
    ):
        try:
            with joined(gpus=gpus) as ranks:
                return str(ranks.total(torch.ones(())).item())
        except ArgumentError as error:
            return str(error)


def test_without_a_gpu_for_each_processors_can_be_asked_for(pair: Pair) -> None:
    assert pair(on_processors, False) == ["2.0", "2.0"]
    for number, said in enumerate(pair(on_processors, True)):
        assert said == (
            f"process {number} of this machine needs a GPU of its own, but there are 0: "
            "start fewer, or give --device cpu"
        )


def test_a_port_that_is_no_number_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "x"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ArgumentError, match="MASTER_PORT must be a number, got 'x'"), joined():
        pass
