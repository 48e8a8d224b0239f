"""Small sweeps, and the model that the ones to be disturbed have."""

from __future__ import annotations

import csv
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from commands import Ended, tombola, write_module

# Twenty steps an epoch; nothing is left to the defaults, which are tuned now and then.
COMMON = """
[options]
model = "mlp"
width = 0.1
epochs = 2
batch_size = 64
lr = 0.1
precision = "float32"
"""

# Waits in every step while a file says so, for something to happen to it.
SLOW = """
import time
from pathlib import Path
from torch import nn

class Net(nn.Sequential):
    def forward(self, x):
        if self.training and Path("slow").exists():
            time.sleep(0.05)
        return super().forward(x)

def net(width, in_channels, classes):
    return Net(nn.Flatten(), nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, classes))
"""


def write_sweep(path: Path, text: str, common: str = COMMON) -> Path:
    """A file with the common options and `text`."""
    path.write_text(f"{text}\n{common}")
    return path


def slow_sweep(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, text: str) -> Path:
    """A sweep of runs that can be made to wait, in the working directory `folder`; `name` is of one test."""
    write_module(monkeypatch, folder, name, SLOW)
    common = COMMON.replace('"mlp"', f'"{name}:net"').replace("epochs = 2", "epochs = 4")
    return write_sweep(folder / f"{name}.toml", text, common)


def swept(file: Path, out: Path, *options: str) -> Ended:
    """Run a sweep to its end in this process, one run after another where nothing else is said."""
    return tombola("sweep", file, "--out", out, *(options or ("--engine", "here")))


def main_thread_only() -> None:
    """Skip the test where a signal to this process would end it."""
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals come to the main thread alone")


def wait_for(happened: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait, and fail where it does not happen."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def tickets(out: Path) -> dict[str, bytes]:
    """{run: bytes of its ticket}."""
    return {path.parent.name: path.read_bytes() for path in sorted(out.glob("*/ticket.tombola"))}


def results(out: Path) -> dict[str, dict[str, str]]:
    """{run: its row of results.csv}."""
    with (out / "results.csv").open(newline="") as file:
        return {row["run"]: row for row in csv.DictReader(file)}
