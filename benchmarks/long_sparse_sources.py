"""Claim (paper B): strong tickets of density 0.3 are found in sources that are themselves sparse.

Conv-6 of width 0.5 on CIFAR-10, IteRand, the same budget for all: a dense source, and Erdős–Rényi sources of
density 0.5 under each of the four layerwise rules; three seeds. Prints test accuracy as mean and range,
bits per weight and seconds over those of the dense source.

    TOMBOLA_DATA=FOLDER python benchmarks/long_sparse_sources.py [EPOCHS [SEEDS]]

6 epochs and 3 seeds unless said otherwise: hours on two cores, so `make bench` leaves it out.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

from _machine import print_machine, run

SOURCES = {
    "dense": [],
    **{
        f"0.5, {rule}": ["--source-density", "0.5", "--rule", rule]
        for rule in ("uniform", "erk", "pyramidal", "balanced")
    },
}
COMMON = [
    *("--data", "cifar10", "--model", "conv6", "--width", "0.5", "--density", "0.3"),
    *("--batch-size", "128", "--lr", "0.3", "--period", "300"),
]


def main() -> None:
    """A line for each source, as soon as its seeds are done."""
    epochs, seeds = (*sys.argv[1:], *("6", "3")[len(sys.argv) - 1 :])
    print_machine()
    print(f"{'source':16} {'test accuracy, %':>26} {'bits/weight':>12} {'seconds ÷ dense':>16}")
    dense: float | None = None
    with tempfile.TemporaryDirectory() as folder:
        for name, options in SOURCES.items():
            results: list[dict[str, Any]] = []
            for seed in range(int(seeds)):
                out = Path(folder) / f"{name}-{seed}"
                given = ["--epochs", epochs, "--seed", str(seed), "--out", str(out)]
                results.append(run("search", *COMMON, *options, *given)[0])
            accuracies = [100 * result["test_accuracy"] for result in results]
            seconds = mean(result["seconds"] for result in results)
            dense = seconds if dense is None else dense
            each = " ".join(f"{accuracy:.2f}" for accuracy in accuracies)
            bits = mean(result["bits_per_weight"] for result in results)
            print(
                f"{name:16} {mean(accuracies):6.2f} ({each}) {bits:12.3f} {seconds / dense:16.2f}", flush=True
            )


if __name__ == "__main__":
    main()
