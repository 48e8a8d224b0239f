"""Claim: `tombola search`, with no option at all, ends within 20 seconds on two cores, and its tickets
read at least 95 % of the test digits for every seed, 97 % in the mean.

    python benchmarks/first_ticket.py

Five searches, seeds 0 to 4, each a process of its own; beside them dense training of the same network.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import mean, median

from _machine import print_machine, run

SEEDS = range(5)


def measure(command: str, folder: Path) -> tuple[list[float], list[float]]:
    """Test accuracies and wall-clock seconds over the seeds."""
    accuracies, seconds = [], []
    for seed in SEEDS:
        result, wall = run(command, "--seed", str(seed), "--out", str(folder / f"{command}-{seed}"))
        accuracies.append(result["test_accuracy"])
        seconds.append(wall)
    return accuracies, seconds


def main() -> None:
    """Print the table."""
    print_machine()
    with tempfile.TemporaryDirectory() as folder:
        for command in ("search", "train"):
            accuracies, seconds = measure(command, Path(folder))
            each = " ".join(f"{100 * accuracy:.1f}" for accuracy in accuracies)
            print(
                f"{command:<7} test accuracy {each}  mean {100 * mean(accuracies):.2f} %  "
                f"least {100 * min(accuracies):.2f} %  "
                f"wall median {median(seconds):.1f} s, most {max(seconds):.1f} s"
            )


if __name__ == "__main__":
    main()
