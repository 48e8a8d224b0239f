"""Freed memory is kept for the next step, where glibc allocates and the user has said nothing else."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest

from tombola.experiments.heap import keep_freed_memory

# torch for other processors may bring an allocator of its own, as may LD_PRELOAD.
of_glibc = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or platform.machine() != "x86_64" or "LD_PRELOAD" in os.environ,
    reason="of glibc's allocator",
)
# Page faults of taking, writing and giving back 16 MB twenty times: first with a glibc that maps such blocks
# anew each time, as its default is before the first one is freed, then after the call.
PROGRAM = """
import ctypes, resource, torch
from tombola.experiments.heap import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(4_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

assert ctypes.CDLL(None).mallopt(-3, 128 << 10) == 1
before, answer = faults(), keep_freed_memory()
faults()
print(before, answer, faults())
"""


def _faults(**environment: str) -> tuple[int, str, int]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        check=True,
        capture_output=True,
        text=True,
        env={**clean, **environment},
    )
    before, answer, after = done.stdout.split()
    return int(before), answer, int(after)


@of_glibc
def test_pages_are_not_cleared_again_and_again() -> None:
    before, answer, after = _faults()
    assert answer == "True"
    assert before > 0
    assert after * 10 < before


@of_glibc
@pytest.mark.parametrize(
    "environment",
    [{"MALLOC_TRIM_THRESHOLD_": "131072"}, {"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=131072"}],
)
def test_what_the_user_has_said_stays(environment: dict[str, str]) -> None:
    before, answer, after = _faults(**environment)
    assert answer == "False"
    assert after * 2 > before > 0


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Linux, with nothing said by the user."""
    monkeypatch.setattr(sys, "platform", "linux")
    for name in [name for name in os.environ if name.startswith(("MALLOC_", "GLIBC_"))]:
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("refused", [None, -1, -3])
def test_what_glibc_is_told(monkeypatch: pytest.MonkeyPatch, refused: int | None) -> None:
    told: dict[int, int] = {}

    def mallopt(number: int, value: int) -> int:
        told[number] = value
        return int(number != refused)

    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(mallopt=mallopt))
    assert keep_freed_memory() == (refused is None)
    assert told == {-3: 32 * 1024 * 1024, -1: -1}  # M_MMAP_THRESHOLD; M_TRIM_THRESHOLD: never


@pytest.mark.usefixtures("quiet")
def test_other_libraries_and_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())  # one that has no mallopt
    assert not keep_freed_memory()
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: pytest.fail("looked for glibc"))
    assert not keep_freed_memory()
