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
    results = iter(loader)
    while True:
        try:
            result = next(results, None)
        except RuntimeError as error:
            if not str(error).startswith("DataLoader worker"):
                raise
            raise DataError(
                f"a process that decodes images has died ({str(error).splitlines()[0]}): was there too "
                "little memory, or shared memory in /dev/shm? Fewer workers need less of both"
            ) from None
        if result is None:
            return
        if isinstance(result, str):
            raise DataError(result)
        yield result


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
    """Begin a worker: signals are the main process's to take, and its death is the worker's, at once."""
    del worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the main process ends its workers when it stops
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    # A worker that lived on would hold what it has inherited: the lock of the run's folder.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
