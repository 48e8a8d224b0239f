"""What figures were measured on, and with which data."""

from __future__ import annotations

import platform
import time
from pathlib import Path
from typing import Any

import numpy
import torch

import tombola
from tombola import data
from tombola.experiments.machine import has_bfloat16

JPEG_COPY = "35455ed8a34ba6658e22184544023df7"
"""Fingerprint of a public copy of CIFAR-10 whose images were encoded as JPEG: accuracies are a bit lower."""


def told(*data_sets: str) -> dict[str, Any]:
    """The machine, the versions of what computes, and the fingerprints of data sets."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": f"{len(names)} × {names[0]}" if names else platform.processor(),
        # What a name such as "AMD EPYC" leaves open, and kernels are chosen by.
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "native_bfloat16": has_bfloat16("cpu"),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "tombola": tombola.__version__,
        "data": {name: data.load(name, validation=0.0).fingerprint() for name in data_sets},
    }


def shown(machine: dict[str, Any]) -> str:
    """That in a line."""
    parts = [
        machine["processor"],
        machine.get("instructions"),  # not told by the first records
        machine["gpu"],
        f"Python {machine['python']}",
        f"torch {machine['torch']}",
        f"Tombola {machine['tombola']}",
        *data_sets(machine),
        machine["date"],
    ]
    return ", ".join(part for part in parts if part)


def data_sets(machine: dict[str, Any]) -> list[str]:
    """The data sets that were in use, each with what is known of the copy."""
    return [_named(name, fingerprint) for name, fingerprint in machine["data"].items()]


def _named(name: str, fingerprint: str) -> str:
    return "JPEG copy of CIFAR-10" if fingerprint == JPEG_COPY else f"{name} ({fingerprint[:12]})"
