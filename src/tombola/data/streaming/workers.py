"""Tasks decoded in worker processes, in their order: torch's DataLoader, made to fail and to end cleanly."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from tombola.data.streaming.decoding import Task, decode_task
from tombola.errors import ArgumentError, DataError

# Forked workers start in milliseconds, and in scripts that do not guard their main part; they use neither
# threads nor the GPU. Elsewhere it is not safe, and the system's own default is taken.
_START = "fork" if sys.platform == "linux" else None
_NOT_THEIRS = {signal.SIGINT, signal.SIGTERM}


def check_workers(workers: int | None) -> int:
    """The number of processes that decode images; None: one less than this process's part of the cores.

    Raises ArgumentError for a number below 0. With 0 the process decodes them itself.
    """
    if workers is not None:
        if isinstance(workers, bool) or not isinstance(workers, int) or workers < 0:
            raise ArgumentError(f"workers must be a whole number of at least 0, got {workers!r}")
        return workers
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    beside = os.environ.get("LOCAL_WORLD_SIZE", "1")  # torchrun's: how many processes share this machine
    return max(0, cores // max(1, int(beside) if beside.isdigit() else 1) - 1)


def decoded(tasks: Iterable[Task], workers: int) -> Iterator[torch.Tensor]:
    """What `decode_task` makes of each task, in their order and the same for any number of `workers`.

    `tasks` is asked for two tasks a worker ahead. Raises DataError for an image that cannot be decoded, when
    its turn comes, and where a worker dies.
    """
    if workers == 0:
        yield from map(decode_task, tasks)
        return
    loader: DataLoader[Any] = DataLoader(
        _Decoder(),
        sampler=tasks,  # a task is here what an index is elsewhere
        batch_size=None,
        num_workers=workers,
        collate_fn=_unchanged,
        worker_init_fn=_start,
        multiprocessing_context=_START,
        generator=torch.Generator(),  # or it would draw a seed from torch's own: dropout would change
    )
    results = _begin(loader)
    while True:
        try:
            result = next(results, None)
        except DataError as error:
            result = str(error)
        except (RuntimeError, ConnectionError, EOFError) as error:
            # Which of them depends on what the process was doing: sending a result, or not.
            if isinstance(error, RuntimeError) and not str(error).startswith("DataLoader worker"):
                raise
            said = str(error).partition("\n")[0] or "its end of the pipe is closed"
            result = (
                f"a process that decodes images has died ({said}): was there too "
                "little memory, or shared memory in /dev/shm? Fewer workers need less of both"
            )
        if result is None:
            return
        if isinstance(result, str):
            # Workers end with their iterator: now, and not whenever the error's traceback is collected.
            del results, loader
            raise DataError(result)
        yield result


def _begin(loader: DataLoader[Any]) -> Iterator[Any]:
    """Start the workers.

    torch has the death of one raised wherever the main process happens to be, be it in the middle of a
    checkpoint. Without its handler it is found, within seconds, when the next images are asked for.
    """
    if sys.platform == "win32":
        return iter(loader)
    held = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    before = signal.getsignal(signal.SIGCHLD)
    try:
        # Workers are born so, see _start. It may raise what came just before: hence within.
        signal.pthread_sigmask(signal.SIG_BLOCK, _NOT_THEIRS)
        return iter(loader)
    finally:
        # If it was set by other means than Python's, it cannot set it again.
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCHLD, before)
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


class _Decoder(Dataset[Any]):
    """What is fetched is the task itself; an error comes back as its message, not as a traceback."""

    def __getitem__(self, task: Any) -> torch.Tensor | str:
        try:
            return decode_task(task)
        except DataError as error:
            return str(error)


def _unchanged(result: Any) -> Any:
    return result


def _start(worker: int) -> None:
    """Begin a worker: signals are the main process's to take, and its death is the worker's, at once.

    Until here they were held back where workers are forked, or one that came then would have ended them.
    """
    del worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not hasattr(signal, "sigwaitinfo"):
        if sys.platform != "win32":
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _NOT_THEIRS)
    else:
        threading.Thread(target=_end_when_told, args=(os.getppid(),), daemon=True).start()
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _end_when_told(parent: int) -> None:
    """Take SIGTERM from the main process alone. A scheduler sends it to all, and a checkpoint comes first."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)


def _die_with_parent() -> None:
    # A worker that lived on would hold what it has inherited: the lock of the run's folder.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
