"""Question: how much faster is a search on two processes of a core each than on one?

Steps of edge-popup (batch 128 in all, 32×32, bfloat16) as `torchrun` has them: gradients averaged, batch
normalisation over the whole batch. One process with one thread, two with one thread each, one with two
threads, in turns; printed are the medians of the times of the first over those of the others.

    python benchmarks/processes.py [ROUNDS]
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable
from statistics import median

import torch
import torch.multiprocessing as mp
import torch.nn.functional as F
from _machine import print_machine
from torch import nn

from tombola import EdgePopup, Source, models
from tombola.experiments.ranks import joined
from tombola.experiments.synchronised import synchronise_batch_norm

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "Conv-6 × 0.5": lambda: models.conv6(width=0.5),
    "ResNet-18 × 0.5": lambda: models.resnet18(width=0.5),
}
BATCH, STEPS = 128, 6
CASES = {"1 process, 1 thread": (1, 1), "2 processes, 1 thread each": (2, 1), "1 process, 2 threads": (1, 2)}


def main() -> None:
    """One block for each network."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    print_machine()
    for name in NETWORKS:
        times: dict[str, list[float]] = {case: [] for case in CASES}
        for _ in range(rounds):
            for case, (count, threads) in CASES.items():
                times[case] += _measured(name, count, threads)
        one = median(times["1 process, 1 thread"])
        for case, seconds in times.items():
            print(f"{name:16} {case:28} {one / median(seconds):5.2f} × the first's speed", flush=True)


def _measured(name: str, count: int, threads: int) -> list[float]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with mp.get_context("spawn").Pool(count) as pool:
        given = [(name, rank, count, threads, port) for rank in range(count)]
        return pool.starmap(_steps, given, chunksize=1)[0]


def _steps(name: str, rank: int, count: int, threads: int, port: int) -> list[float]:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_RANK": str(rank)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(threads)
    seconds = []
    with joined() as ranks:
        model = NETWORKS[name]()
        if not ranks.alone:
            synchronise_batch_norm(model)
        search = EdgePopup(Source(model), 0.5)
        wrapped = ranks.wrap(model)
        optimizer = torch.optim.SGD(search.parameters(), lr=1e-3, momentum=0.9)
        here = ranks.share.of(0, BATCH)
        images = torch.randn(BATCH, 3, 32, 32).contiguous(memory_format=torch.channels_last)[here]
        labels = torch.randint(0, 10, (BATCH,))[here]
        for _ in range(STEPS + 2):
            began = time.perf_counter()
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = wrapped(images)
            F.cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            search.step()
            seconds.append(time.perf_counter() - began)
    return seconds[2:]


if __name__ == "__main__":
    main()
