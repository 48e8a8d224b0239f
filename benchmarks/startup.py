"""Claim: the command answers at once, and the library adds hardly anything to importing torch.

Wall-clock seconds of `tombola --help` in a process of its own, and of `import tombola` in one that has
imported torch before. Medians of 9 processes each, after one that warms the disk.

    python benchmarks/startup.py
"""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

from _machine import print_machine

PROCESSES = 9
IMPORT = "import time, torch; began = time.perf_counter(); import tombola; print(time.perf_counter() - began)"


def main() -> None:
    """Two lines."""
    print_machine()
    _help_seconds(), _import_seconds()
    print(f"tombola --help: {median(_help_seconds() for _ in range(PROCESSES)):.2f} s")
    print(f"import tombola after torch: {median(_import_seconds() for _ in range(PROCESSES)):.3f} s")


def _help_seconds() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "tombola", "--help"], check=True, capture_output=True)
    return time.perf_counter() - began


def _import_seconds() -> float:
    done = subprocess.run([sys.executable, "-c", IMPORT], check=True, capture_output=True, text=True)
    return float(done.stdout)


if __name__ == "__main__":
    main()
