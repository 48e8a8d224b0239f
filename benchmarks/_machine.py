"""What a figure was measured on, and runs of the command as a user would start them."""

from __future__ import annotations

import json
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy
import torch

import tombola


def print_machine() -> None:
    """The first line of every benchmark's output."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line
        ]
        cpu = f"{len(names)} × {names[0]}" if names else cpu
    print(
        f"{time.strftime('%Y-%m-%d')}  {cpu}  {torch.get_num_threads()} threads  python "
        f"{platform.python_version()}  torch {torch.__version__}  numpy {numpy.__version__}  "
        f"tombola {tombola.__version__}",
        flush=True,
    )


def run(*options: str) -> tuple[dict[str, Any], float]:
    """The result of `tombola OPTIONS --json`, and its wall-clock seconds with imports."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "tombola", *options, "--json"], check=True, capture_output=True, text=True
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result, time.monotonic() - began


def run_once(out: Path, *options: str) -> dict[str, Any]:
    """The result of the run in folder `out`, made now unless it is there already.

    `cpu_seconds` is the processor time it took: what else the machine does hardly moves that.
    """
    kept = out / "benchmark.json"
    if not kept.exists():
        before = _children_seconds()
        result = run(*options, "--out", str(out), "--resume")[0]
        kept.write_text(json.dumps({**result, "cpu_seconds": _children_seconds() - before}))
    finished: dict[str, Any] = json.loads(kept.read_text())
    return finished


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
