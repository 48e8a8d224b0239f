"""Sweeps on Ray: the same tickets as in one process, whatever dies on the way."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from sweep_helpers import main_thread_only, results, slow_sweep, swept, tickets, wait_for, write_sweep

ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'tombola[cluster]'")

STORE = 100 << 20


@contextmanager
def meanwhile(act: Callable[[], None]) -> Iterator[None]:
    """`act` in a thread beside the block; what it raises is raised at the end."""
    raised: list[BaseException] = []

    def guarded() -> None:
        try:
            act()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    yield
    thread.join()
    if raised:
        raise raised[0]


def processes(folder: Path) -> list[int]:
    """The processes in which a run has begun, one after another."""
    return [int(number) for number in re.findall(r", process (\d+)", (folder / "log.txt").read_text())]


def has_checkpoint(folder: Path) -> bool:
    return (folder / "checkpoint/latest.pt").exists() and not (folder / "result.json").exists()


def parent(process: int) -> int:
    return int(re.findall(r"PPid:\s+(\d+)", Path(f"/proc/{process}/status").read_text())[0])


def epochs_of_last_process(folder: Path) -> int:
    """How many epochs a run has ended in the process that it is in."""
    return (folder / "log.txt").read_text().rpartition(", process ")[2].count("\nepoch ")


def test_a_killed_worker_a_failing_run_and_a_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On this machine: the process of a run is killed after its first checkpoint and begun again, another
    run diverges, the first one's machine is preempted, then all are stopped. Resumed without Ray, the rest is
    as if nothing had happened.
    """
    main_thread_only()
    text = "[[list]]\nperiod = 7\n[[list]]\nweight_decay = 1e38\n[[list]]\nperiod = 9\n"
    file = slow_sweep(monkeypatch, tmp_path, "user_killed_worker", text)
    out, slow = tmp_path / "ray", tmp_path / "slow"
    victim, failing = out / "period=7,seed=0", "weight_decay=1e+38,seed=0"
    slow.touch()

    def disturb() -> None:
        wait_for(lambda: has_checkpoint(victim))
        os.kill(processes(victim)[0], signal.SIGKILL)
        wait_for(lambda: len(processes(victim)) == 2 and epochs_of_last_process(victim) > 0)
        os.kill(processes(victim)[1], signal.SIGTERM)
        wait_for(lambda: len(processes(victim)) == 3)
        os.kill(os.getpid(), signal.SIGTERM)

    # As in a script that runs the sweep in its background.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with meanwhile(disturb):
            ended = swept(file, out, "--engine", "ray")
    finally:
        signal.signal(signal.SIGINT, before)
    slow.unlink()
    assert (ended.status, ended.out) == (75, "")
    said = ended.err.splitlines()
    assert said[0] == f"tombola: 3 runs in {out}, with Ray on this machine"
    assert re.fullmatch(
        "tombola: interrupted with [01] of 3 runs finished; the same command goes on", said[-1]
    )
    assert "raylet" not in ended.err
    assert "interrupted in epoch" in (victim / "log.txt").read_text()
    assert not (victim / "result.json").exists()
    assert results(out)[failing]["state"] == "failed"
    ended = swept(file, out)
    assert ended.status == 1
    assert ended.err.splitlines()[-1].startswith(f"tombola: run {failing} failed: ")
    assert_same_as_undisturbed(file, out, 2)


def assert_same_as_undisturbed(file: Path, out: Path, count: int) -> None:
    whole = out.parent / "undisturbed"
    swept(file, whole)
    assert len(tickets(whole)) == count
    assert tickets(out) == tickets(whole)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two machines, as far as Ray can tell, that hold one run each."""
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    machine: dict[str, Any] = {"num_cpus": 1, "object_store_memory": STORE}
    cluster = Cluster(initialize_head=True, head_node_args={**machine, "include_dashboard": False})
    cluster.add_node(**machine)
    cluster.wait_for_nodes()
    yield cluster
    cluster.shutdown()  # type: ignore[no-untyped-call]


def test_more_than_any_machine_has_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: Any
) -> None:
    file = slow_sweep(monkeypatch, tmp_path, "user_too_much", "seeds = 2\n[resources]\ncpus = 2\n")
    ended = swept(file, tmp_path / "out", "--address", cluster.address)
    assert ended.status == 2
    said = "a run takes 2 CPUs and 0 GPUs, and no machine of Ray's has so many (at most 1 and 0)"
    assert ended.err.splitlines()[-1] == f"tombola: {said}"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:1", "no Ray cluster answers at 127.0.0.1:1: "),
        ("127.0.0.1:70000", "no Ray cluster answers at 127.0.0.1:70000: "),
        ("nowhere", "the Ray cluster at nowhere cannot be reached: "),
    ],
)
def test_a_cluster_that_is_not_there(tmp_path: Path, address: str, said: str) -> None:
    ended = swept(write_sweep(tmp_path / "some.toml", ""), tmp_path / "out", "--address", address)
    assert (ended.status, ended.out) == (2, "")
    assert len(ended.err.splitlines()) == 2
    assert ended.err.splitlines()[1].startswith(f"tombola: {said}")


def test_a_machine_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: Any) -> None:
    """The last of the cluster's tests: one of its two machines is killed in the middle of a run."""
    file = slow_sweep(monkeypatch, tmp_path, "user_dead_machine", "seeds = 3")
    out = tmp_path / "ray"
    slow = tmp_path / "slow"
    slow.touch()
    (doomed,) = cluster.worker_nodes
    (raylet,) = doomed.all_processes["raylet"]
    lost: list[Path] = []

    def kill() -> None:
        wait_for(lambda: all(has_checkpoint(out / f"seed={seed}") for seed in (0, 1)))
        lost.extend(
            folder
            for folder in (out / "seed=0", out / "seed=1")
            if parent(processes(folder)[-1]) == raylet.process.pid
        )
        cluster.remove_node(doomed, allow_graceful=False)
        # It takes its processes along. Here they would notice after a second, in which the run might end.
        for folder in lost:
            with suppress(ProcessLookupError):
                os.kill(processes(folder)[-1], signal.SIGKILL)
        slow.unlink()

    with meanwhile(kill):
        ended = swept(file, out, "--address", cluster.address)
    assert ended.status == 0, ended.err
    (folder,) = lost
    assert len(processes(folder)) > 1  # it went on in another one
    assert_same_as_undisturbed(file, out, 3)
