"""Claims, on one core: encoding 100 and decoding 60 million positions a second; a ticket of 11 million
weights with 130 generations loaded and rebuilt in under 1.5 s at densities up to 0.5, within twice the memory
of the weights.

Prints medians, and each over what numpy takes to draw as many words of one stream, in the same run: the
absolute times are this machine's.

    python benchmarks/ticket_speed.py
"""

from __future__ import annotations

import tempfile
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from _machine import print_machine
from torch import nn

import tombola
from tombola.rng import Stream
from tombola.ticket import codec

REPEATS = 7
DENSITIES = (0.5, 0.3, 0.1, 0.01)
POSITIONS = 10_000_000


def seconds(function: Callable[[], Any]) -> float:
    """The median over some calls."""
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return median(times)


def coder() -> None:
    """Positions a second, of masks without generations."""
    for density in DENSITIES:
        kept = Stream(0, "mask", "benchmark").bernoulli(POSITIONS, density)
        tensor = codec.TensorMask(kept, np.zeros(np.count_nonzero(kept), dtype=np.int32))
        words, counts = codec.encode([tensor])
        encoding = seconds(partial(codec.encode, [tensor]))
        decoding = seconds(partial(codec.decode, words, [POSITIONS], counts))
        print(
            f"density {density:<5} encoding {POSITIONS / encoding / 1e6:5.0f}, decoding "
            f"{POSITIONS / decoding / 1e6:5.0f} million positions a second"
        )


def make(model: nn.Module, init: str, density: float, path: Path) -> None:
    """A ticket with 130 generations, the later the fewer, saved."""
    source = tombola.Source(model, init=init)
    mask = tombola.EdgePopup(source, density).mask
    generations = {}
    for name, shape in source.shapes.items():
        words = Stream(0, name, "benchmark").words(int(np.prod(shape)))
        generations[name] = np.floor(130 * (words / 2**32) ** 2).astype(np.int32).reshape(shape)
    tombola.Ticket.from_mask(source, mask, generations).save(path)


def rebuilding(name: str, model: nn.Module, init: str, density: float, folder: Path) -> None:
    """Time and memory of load and weights."""
    path = folder / "ticket.tombola"
    make(model, init, density, path)
    weights = tombola.Ticket.load(path).mask.total
    loading = seconds(lambda: tombola.Ticket.load(path))
    ticket = tombola.Ticket.load(path)
    rebuilding = seconds(ticket.weights)
    drawing = seconds(lambda: np.random.Philox(0).random_raw(weights // 2))
    del ticket
    tracemalloc.start()
    rebuilt = tombola.Ticket.load(path).weights()
    peak = tracemalloc.get_traced_memory()[1] / sum(values.nbytes for values in rebuilt.values())
    tracemalloc.stop()
    both = (loading + rebuilding) / drawing
    print(
        f"{name}, {init}, density {density}, {weights:,} weights: load {loading:.2f} s, "
        f"weights {rebuilding:.2f} s, together {both:.0f} times the drawing of as many words; "
        f"peak memory {peak:.2f} times the weights'"
    )


def main() -> None:
    """Coder, then rebuilding."""
    torch.set_num_threads(1)
    print_machine()
    coder()
    with tempfile.TemporaryDirectory() as folder:
        for density in (0.3, 0.5, 0.9):
            for init in ("kaiming_uniform", "signed_constant"):
                rebuilding("ResNet-18", tombola.models.resnet18(), init, density, Path(folder))
                one_layer = nn.Sequential(nn.Linear(3300, 3400, bias=False))
                rebuilding("one layer", one_layer, init, density, Path(folder))


if __name__ == "__main__":
    main()
