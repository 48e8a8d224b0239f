"""Claim (paper B): random masks train well, and sparse-to-sparse schemes may start from one.

Conv-6 of width 0.5 on CIFAR-10, weights trained: static Erdős–Rényi masks under each of the four layerwise
rules; RigL and IMP (5 rounds) from the dense network and from an Erdős–Rényi source of density 0.5; all at
densities 0.5, 0.2 and 0.05, at about the same cost (IMP: a fifth of the epochs in each of its 6 trainings).
Prints test accuracy as mean and each seed's, and processor seconds over those of dense training.

    TOMBOLA_DATA=FOLDER python benchmarks/long_sparse_training.py [EPOCHS [SEEDS [RUNS]]]

10 epochs and 1 seed unless said otherwise: three hours on two cores, so `make bench` leaves it out. The runs
stay in RUNS (runs/sparse-training); stopped and started again, those that are done are not run again.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import mean

from _machine import print_machine, run_once

DENSITIES = ("0.5", "0.2", "0.05")
FROM_ER = ("--source-density", "0.5", "--rule", "erk")
COMMON = (
    *("--data", "cifar10", "--model", "conv6", "--width", "0.5"),
    *("--batch-size", "128", "--lr", "0.03", "--fan-scaling"),
)


def methods(density: str) -> dict[str, tuple[str, ...]]:
    """The options of every run at one density; those whose network is dense at the start have no scaling."""
    static = {
        f"static {rule}": ("--method", "static", "--source-density", density, "--rule", rule)
        for rule in ("uniform", "erk", "pyramidal", "balanced")
    }
    rigl = ("--method", "rigl", "--density", density)
    imp = ("--method", "imp", "--density", density, "--rounds", "5")
    moving = {
        "RigL, dense": (*rigl, "--ticket-rule", "erk"),
        "IMP, dense": imp,
        "IMP, ER 0.5": (*imp, *FROM_ER),
        "RigL, ER 0.5": (*rigl, *FROM_ER),
    }
    if density == "0.5":  # the whole of that source: nowhere to grow, nothing to prune
        del moving["RigL, ER 0.5"], moving["IMP, ER 0.5"]
    return static | moving


def main() -> None:
    """Seed by seed, so that whatever else the machine does meets all methods alike; then the table."""
    epochs, seeds, folder = (*sys.argv[1:], *("10", "1", "runs/sparse-training")[len(sys.argv) - 1 :])
    print_machine()
    runs: dict[tuple[str, str], tuple[str, ...]] = {("dense", "1"): ("--method", "dense")}
    runs |= {(name, d): options for d in DENSITIES for name, options in methods(d).items()}
    results = {}
    for seed in range(int(seeds)):
        for (name, density), options in runs.items():
            common = [option for option in COMMON if name != "dense" or option != "--fan-scaling"]
            out = Path(folder) / f"{name.replace(', ', '-').replace(' ', '-')}-{density}-{epochs}-{seed}"
            budget = epochs if "imp" not in options else str(max(1, int(epochs) // 5))
            given = ["train", *common, *options, "--epochs", budget, "--seed", str(seed)]
            results[name, density, seed] = run_once(out, *given)
    print(f"{epochs} epochs, {seeds} seeds")
    print(f"{'method':18} {'density':>7} {'test accuracy, %':>26} {'CPU seconds ÷ dense':>20}")
    cost = {run: mean(results[(*run, s)]["cpu_seconds"] for s in range(int(seeds))) for run in runs}
    for name, density in runs:
        each = [100 * results[name, density, s]["test_accuracy"] for s in range(int(seeds))]
        accuracy = f"{mean(each):.2f} ({' '.join(f'{one:.2f}' for one in each)})"
        relative = cost[name, density] / cost["dense", "1"]
        print(f"{name:18} {density:>7} {accuracy:>26} {relative:20.2f}")


if __name__ == "__main__":
    main()
