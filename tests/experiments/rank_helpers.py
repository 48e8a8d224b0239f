"""Two processes that do the same, as torchrun has them: they live as long as a module's tests."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import socket
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any
from unittest import mock

import torch

from commands import Ended, tombola
from tombola.experiments.loop import Loop
from tombola.experiments.ranks import joined

COUNT = 2


class Pair:
    """Calls a function in both processes at once, within a group of its own."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._ends, self._processes = [], []
        for rank in range(COUNT):
            mine, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, rank), daemon=True)
            process.start()
            self._ends.append(mine)
            self._processes.append(process)

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """What the function, of a module that both can import, returns in each. Fails if it raises in one."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        for end in self._ends:
            end.send((port, function, arguments))
        answers = []
        for end in self._ends:
            if not end.poll(120):
                self._show_where()
                raise AssertionError("no answer within two minutes; where each process was is on stderr")
            answers.append(end.recv())
        for failure, _ in answers:
            assert failure is None, failure
        return [result for _, result in answers]

    def _show_where(self) -> None:
        for process in self._processes:
            assert process.pid is not None
            os.kill(process.pid, signal.SIGUSR2)
            process.join(1)

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.join()


def _serve(end: Connection, rank: int) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(COUNT)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    faulthandler.register(signal.SIGUSR2, all_threads=False)
    while True:
        port, function, arguments = end.recv()
        os.environ["MASTER_PORT"] = str(port)
        try:
            end.send((None, function(*arguments)))
        except BaseException:
            end.send((traceback.format_exc(), None))


def command(*arguments: str) -> Ended:
    """The command in this process of the pair."""
    return tombola(*arguments)


def stopped(at: int, *arguments: str) -> Ended:
    """The command; the second process alone gets a signal, in step `at` of the run."""
    step = Loop._train_step

    def train_step(loop: Loop, x: torch.Tensor, y: torch.Tensor) -> None:
        step(loop, x, y)
        if loop.epoch * len(loop.batches) + loop.step + 1 == at and not loop.ranks.first:
            os.kill(os.getpid(), signal.SIGTERM)

    with mock.patch.object(Loop, "_train_step", train_step):
        return tombola(*arguments)


def in_group(function: Callable[..., Any], *arguments: Any) -> Any:
    """`function(ranks, …)` within the group of the pair."""
    with joined() as ranks:
        return function(ranks, *arguments)
