"""Worker processes: errors are the image's, signals the main process's, and death is shared."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from streaming_helpers import streamed

from photos import encoded, image_folders, photo
from tombola.data.streaming import workers
from tombola.data.streaming.decoding import Task
from tombola.data.streaming.images import Cell
from tombola.data.streaming.workers import check_workers, decoded
from tombola.errors import ArgumentError, DataError

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes through /proc")


def tasks(count: int, broken: int = -1) -> Iterator[Task]:
    data = encoded(photo(20, 20))
    for number in range(count):
        yield Task((Cell(f"{number}.png", b"x" if number == broken else data),), 8, None)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_damaged_image_is_one_clear_line_in_its_turn(count: int) -> None:
    results = decoded(tasks(9, broken=5), count)
    for _ in range(5):
        assert next(results).shape == (1, 8, 8, 3)
    with pytest.raises(DataError) as caught:
        next(results)
    assert str(caught.value) == "5.png: cannot decode the image (cannot identify image file)"


def test_a_damaged_file_of_a_folder_is_named_out_of_a_worker(tmp_path: Path) -> None:
    folder = image_folders(tmp_path / "set")
    path = folder / "train" / "n02" / "010.JPEG"
    path.write_bytes(path.read_bytes()[:200])
    data = streamed(folder, workers=2)
    with pytest.raises(DataError, match=f"^{path}: cannot decode the image") as caught:
        list(data.training(4, seed=0, augment=True).epoch(0))
    assert "\n" not in str(caught.value)


def test_errors_of_whoever_reads_are_raised_as_they_are() -> None:
    def failing() -> Iterator[Task]:
        yield from tasks(3)
        raise DataError("the disk is gone")

    with pytest.raises(DataError, match="^the disk is gone$"):
        list(decoded(failing(), 1))


@linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_are_not_the_workers_to_take(number: signal.Signals) -> None:
    """Ctrl-C goes to all processes of a terminal; batches go on until the main process has had enough."""
    results = decoded(tasks(60), 2)
    next(results)
    begun = children(os.getpid())
    subprocess.run(["kill", f"-{int(number)}", *map(str, begun)], check=True)
    assert sum(1 for _ in results) == 59


@linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_while_workers_start_are_not_theirs_either(number: signal.Signals) -> None:
    def start_late(worker: int) -> None:
        time.sleep(0.5)
        start(worker)

    def signalled(loader: Any) -> Iterator[Any]:
        results = begin(loader)
        subprocess.run(["kill", f"-{int(number)}", *map(str, children(os.getpid()))], check=True)
        return results

    start, begin = workers._start, workers._begin
    with mock.patch.multiple(workers, _start=start_late, _begin=signalled):
        assert sum(1 for _ in decoded(tasks(20), 2)) == 20
    assert not {signal.SIGINT, signal.SIGTERM} & signal.pthread_sigmask(signal.SIG_BLOCK, ())


@linux
def test_the_main_process_can_end_its_workers() -> None:
    """As it does when Python ends before their iterator."""
    results = decoded(tasks(60), 2)
    next(results)
    begun = children(os.getpid())
    for child in begun:
        os.kill(child, signal.SIGTERM)
    wait_for_the_end_of(begun)


@linux
def test_a_worker_that_is_killed_is_said() -> None:
    results = decoded(tasks(400), 2)
    next(results)
    for child in children(os.getpid()):
        os.kill(child, signal.SIGKILL)
    with pytest.raises(
        DataError,
        match=r"a process that decodes images has died \((DataLoader worker|\[Errno|its end).*memory",
    ):
        list(results)


@pytest.mark.parametrize("error", [ConnectionResetError(104, "Connection reset by peer"), EOFError()])
def test_a_worker_that_is_killed_while_it_sends_is_said(error: Exception) -> None:
    def cut_off(loader: object) -> Iterator[object]:
        raise error
        yield

    with (
        mock.patch("tombola.data.streaming.workers._begin", cut_off),
        pytest.raises(DataError, match=r"has died \((\[Errno 104\]|its end of the pipe is closed)"),
    ):
        list(decoded(tasks(4), 2))


PARENT = """
import sys
from pathlib import Path
from typing import Any
from unittest import mock
from streaming_helpers import streamed
batches = streamed(Path(sys.argv[1]), workers=2).training(4, seed=0, augment=True)
for _ in batches.epoch(0):
    print("decoding", flush=True)
    sys.stdin.read()
"""


@linux
def test_workers_die_with_their_parent(tmp_path: Path) -> None:
    folder = image_folders(tmp_path / "set", train=40)
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "decoding\n"
        begun = children(process.pid)
        assert len(begun) == 2
    finally:
        process.kill()
        process.communicate()
    wait_for_the_end_of(begun)


def wait_for_the_end_of(begun: list[int]) -> None:
    until = time.monotonic() + 60
    while any(alive(child) for child in begun) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(alive(child) for child in begun)


def children(pid: int) -> list[int]:
    """The processes whose parent is `pid`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == pid and state != "Z":
            found.append(int(path.parent.name))
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("cores", "beside", "expected"), [(8, None, 7), (8, "2", 3), (2, "2", 0), (1, None, 0), (4, "odd", 3)]
)
def test_workers_by_default(
    cores: int, beside: str | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    if beside is not None:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", beside)
    assert check_workers(None) == expected
    assert check_workers(5) == 5


@pytest.mark.parametrize("number", [-1, 1.5, True])
def test_numbers_of_workers_that_are_none(number: int) -> None:
    with pytest.raises(ArgumentError, match="workers must be a whole number of at least 0"):
        check_workers(number)


def test_nothing_to_decode() -> None:
    for count in (0, 1):
        assert list(decoded(tasks(0), count)) == []
