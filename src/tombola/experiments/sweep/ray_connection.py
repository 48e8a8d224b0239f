"""A connexion to Ray, new or not, and its many words kept out of the terminal."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from tombola.errors import RunError, describe
from tombola.experiments.interrupt import handler_kept

# Results are small; Ray would take a third of the memory.
_STORE_BYTES = 100 << 20
# Seconds in which a cluster must answer.
_ANSWER = 10.0


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """A connexion to Ray, unless this process has one. Raises RunError where there is none to be had."""
    # Read when ray is imported: send no statistics, and leave CUDA_VISIBLE_DEVICES alone without a word.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise RunError(f"Ray is installed and cannot be imported: {describe(error)}") from None
    if ray.is_initialized():
        yield
        return
    _check_answers(address)
    own: dict[str, Any] = {"include_dashboard": False, "object_store_memory": _STORE_BYTES, **_bound()}
    try:
        with handler_kept(signal.SIGTERM):  # Ray sets one that ends the process
            ray.init(
                address or "local",
                log_to_driver=False,
                logging_level=logging.ERROR,
                **({} if address else own),
            )
    except Exception as error:  # of its own, of gRPC and of the system, by what is wrong
        what = f"the Ray cluster at {address} cannot be reached" if address else "Ray cannot be started"
        raise RunError(f"{what}: {describe(error)}") from None
    try:
        yield
    finally:
        ray.shutdown()


def _bound() -> dict[str, int]:
    """The number of CPUs where a scheduler of jobs has bound this process to some, which Ray overlooks."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    return {"num_cpus": bound} if 0 < bound < (os.cpu_count() or 1) else {}


def _check_answers(address: str | None) -> None:
    """Ray itself would try a wrong address for minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return  # a word such as auto, which Ray knows about
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER).close()
    except (OSError, OverflowError) as error:
        raise RunError(f"no Ray cluster answers at {address}: {describe(error)}") from None


@contextmanager
def quiet(log: Path) -> Iterator[None]:
    """Whatever Ray prints in this process, from threads of its own, into `log`."""
    with log.open("a", buffering=1, encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
        yield
