"""Claim (paper B): strong tickets of density 0.3 are found in sources that are themselves sparse.

Conv-6 of width 0.5 on CIFAR-10, IteRand, the same budget for all: a dense source, and Erdős–Rényi sources of
density 0.5 under each of the four layerwise rules. Prints test accuracy as mean and each seed's, bits per
weight, and processor seconds over those of the dense source.

    TOMBOLA_DATA=FOLDER python benchmarks/long_sparse_sources.py [EPOCHS [SEEDS [RUNS]]]

4 epochs and 3 seeds unless said otherwise: more than an hour on two cores, so `make bench` leaves it out. The
runs stay in RUNS (runs/sparse-sources); stopped and started again, those that are done are not run again.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import mean

from _machine import print_machine, run_once

SOURCES = {
    "dense": [],
    **{
        f"0.5-{rule}": ["--source-density", "0.5", "--rule", rule]
        for rule in ("uniform", "erk", "pyramidal", "balanced")
    },
}
COMMON = [
    *("--data", "cifar10", "--model", "conv6", "--width", "0.5", "--density", "0.3"),
    *("--batch-size", "128", "--lr", "0.3", "--period", "300"),
]


def main() -> None:
    """Seed by seed, so that whatever else the machine does meets all sources alike; then the table."""
    epochs, seeds, folder = (*sys.argv[1:], *("4", "3", "runs/sparse-sources")[len(sys.argv) - 1 :])
    print_machine()
    results = {
        (name, seed): run_once(
            Path(folder) / f"{name}-{epochs}-epochs-seed-{seed}",
            *("search", *COMMON, *options, "--epochs", epochs, "--seed", str(seed)),
        )
        for seed in range(int(seeds))
        for name, options in SOURCES.items()
    }
    print(f"{epochs} epochs, {seeds} seeds")
    print(f"{'source':14} {'test accuracy, %':>26} {'bits/weight':>12} {'CPU seconds ÷ dense':>20}")
    cost = {name: mean(results[name, s]["cpu_seconds"] for s in range(int(seeds))) for name in SOURCES}
    for name in SOURCES:
        mine = [results[name, seed] for seed in range(int(seeds))]
        each = [100 * result["test_accuracy"] for result in mine]
        accuracy = f"{mean(each):.2f} ({' '.join(f'{one:.2f}' for one in each)})"
        bits = mean(result["bits_per_weight"] for result in mine)
        print(f"{name:14} {accuracy:>26} {bits:12.3f} {cost[name] / cost['dense']:20.2f}")


if __name__ == "__main__":
    main()
