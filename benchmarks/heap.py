"""Claim: the command's runs on a CPU do not have the same memory cleared again and again.

IteRand's step on batches of 128 random images of 32×32 on one thread, in fresh processes with and without
`tombola.experiments.heap`, alternating. Printed are the processor time of a step (the median of 20 after 20),
with over without, median and range of the pairs; the page faults of a step, median and range, without and
with; and the peak of resident memory, with over without.

    python benchmarks/heap.py [PAIRS]

Five pairs unless said otherwise.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from statistics import median

import torch
from _machine import print_machine
from search_step import step_of

from tombola import IteRand, Source, models
from tombola.experiments.heap import keep_freed_memory

CASES = (
    ("conv6", 0.25, "bfloat16"),
    ("conv6", 0.5, "bfloat16"),
    ("conv6", 0.5, "float32"),
    ("resnet18", 0.25, "bfloat16"),
)
STEPS = 20


def main() -> None:
    """One row for each network."""
    if sys.argv[1:2] == ["step"]:
        print(json.dumps(_measure(*sys.argv[2:])))
        return
    pairs = int(sys.argv[1]) if sys.argv[1:] else 5
    print_machine()
    for model, width, precision in CASES:
        told = [[_process(model, width, precision, keep) for keep in (False, True)] for _ in range(pairs)]
        times = sorted(kept["seconds"] / plain["seconds"] for plain, kept in told)
        peaks = median(kept["peak"] / plain["peak"] for plain, kept in told)
        faults = [sorted(pair[which]["faults"] for pair in told) for which in (0, 1)]
        print(
            f"{f'{model} × {width:g}, {precision}':26}"
            f" time {median(times):.3f} ({times[0]:.3f} to {times[-1]:.3f})"
            f"  faults {', '.join(f'{median(f):.0f} ({f[0]:.0f} to {f[-1]:.0f})' for f in faults)}"
            f"  peak memory {peaks:.3f}",
            flush=True,
        )


def _process(model: str, width: float, precision: str, keep: bool) -> dict[str, float]:
    """What `_measure` gives in a process of its own, in which the user has said nothing about memory."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, __file__, "step", model, str(width), precision, "keep" if keep else ""]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=clean)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _measure(name: str, width: str, precision: str, keep: str) -> dict[str, float]:
    if keep and not keep_freed_memory():
        print("this is not glibc: nothing is kept", file=sys.stderr)
    torch.set_num_threads(1)
    model = models.build(name, width=float(width), in_channels=3, classes=10, image_size=32)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    search = IteRand(Source(model, seed=0), 0.5, period=30)
    step = step_of(model, search.parameters(), precision, search.step)
    for _ in range(STEPS):
        step()
    before, times = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, []
    for _ in range(STEPS):
        began = time.process_time()
        step()
        times.append(time.process_time() - began)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    faults = (usage.ru_minflt - before) / STEPS
    return {"seconds": median(times), "faults": faults, "peak": usage.ru_maxrss}


if __name__ == "__main__":
    main()
