"""Claim: short searches on CIFAR-10 reach what an independent implementation reached.

    TOMBOLA_DATA=FOLDER python benchmarks/cifar10_short.py [--threads N]

Conv-6 of width 0.25, signed-constant weights, ticket density 0.5, learning rate 0.3, weight decay 1e-4,
batches of 128, bfloat16, IteRand's period 300 and rate 0.1, 6 epochs on all 50,000 training images (so
nothing is held out, and the last epoch is taken). The figures to compare with were made on the JPEG copy
of CIFAR-10, one seed each: IteRand 56.3 %, edge-popup 57.1 %, dense training (Kaiming-uniform, learning
rate 0.01) 61.5 %.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from _machine import print_machine, run

COMMON = {
    "data": "cifar10",
    "model": "conv6",
    "width": "0.25",
    "batch-size": "128",
    "weight-decay": "1e-4",
    "precision": "bfloat16",
    "epochs": "6",
    "validation": "0",
}
SEARCH = {"init": "signed_constant", "density": "0.5", "lr": "0.3"}
RUNS = {
    "iterand": ("search", {"method": "iterand", "period": "300", "rate": "0.1", **SEARCH}, 0.563),
    "edge-popup": ("search", {"method": "edge-popup", **SEARCH}, 0.571),
    "dense": ("train", {"init": "kaiming_uniform", "lr": "0.01"}, 0.615),
}


def main() -> None:
    """Print one line per method."""
    print_machine()
    with tempfile.TemporaryDirectory() as folder:
        for name, (command, options, reference) in RUNS.items():
            out = str(Path(folder) / name)
            flags = [f"--{option}={value}" for option, value in {**COMMON, **options, "out": out}.items()]
            result, wall = run(command, *flags, *sys.argv[1:])
            print(
                f"{name:<11} test accuracy {100 * result['test_accuracy']:.2f} %  reference "
                f"{100 * reference:.1f} %  difference {100 * (result['test_accuracy'] - reference):+.2f}  "
                f"ticket {result['ticket_bytes'] or '-'} bytes  {wall:.0f} s"
            )


if __name__ == "__main__":
    main()
