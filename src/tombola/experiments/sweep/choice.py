"""Which engine a sweep gets."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from tombola.errors import ArgumentError, missing_extra
from tombola.experiments.sweep.engine import Engine
from tombola.experiments.sweep.file import Resources
from tombola.experiments.sweep.here import Here

Name = Literal["auto", "ray", "here"]


def choose(name: Name, address: str | None, resources: Resources, runs: int, log: Path) -> Engine:
    """The engine called `name` for so many `runs`; auto: Ray for a cluster, or where several fit at a time.

    Raises ArgumentError for an address that would not be used, TombolaError where ray is not installed.
    """
    if name == "here":
        if address is not None:
            raise ArgumentError("--address is of a Ray cluster: not with --engine here")
        return Here()
    given = address or os.environ.get("RAY_ADDRESS")
    installed = find_spec("ray") is not None
    at_once = min(_fitting(resources), runs)
    if name == "auto" and not given and (at_once < 2 or not installed):
        return Here("" if at_once < 2 else f"{at_once} at a time would fit: pip install 'tombola[cluster]'")
    if not installed:
        raise missing_extra("--address" if address else "engine ray", "cluster")
    from tombola.experiments.sweep.on_ray import OnRay

    return OnRay(resources, given, log)


def _fitting(resources: Resources) -> int:
    """How many runs fit on this machine at a time."""
    # Fewer than the machine has where a scheduler of jobs has bound this process to some.
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    fitting = cpus // resources.cpus
    if resources.gpus:
        import torch

        fitting = min(fitting, int(torch.cuda.device_count() / resources.gpus))
    return fitting
