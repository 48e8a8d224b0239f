"""Freed memory is kept for the next step, where glibc allocates and the user has said nothing else."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys

import pytest

from tombola.experiments.heap import keep_freed_memory

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc", reason="glibc's allocator"
)
# What was answered, and the page faults of taking, writing and giving back eight times 16 MB, twenty times
# over, after as many times in which the heap finds its shape.
PROGRAM = """
import resource, torch
from tombola.experiments.heap import keep_freed_memory
answer = {call}
before = 0
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for turn in range(40):
    before = faults() if turn == 20 else before
    held = [torch.ones(4_000_000) for _ in range(8)]
    del held
print(answer, faults() - before)
"""


def _faults(call: str, **environment: str) -> tuple[str, int]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(call=call)],
        check=True,
        capture_output=True,
        text=True,
        env={**clean, **environment},
    )
    answer, faults = done.stdout.split()
    return answer, int(faults)


def test_pages_are_not_cleared_again_and_again() -> None:
    answer, kept = _faults("keep_freed_memory()")
    assert answer == "True"
    assert kept * 10 < _faults("None")[1]


@pytest.mark.parametrize(
    "environment",
    [{"MALLOC_TRIM_THRESHOLD_": "131072"}, {"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=131072"}],
)
def test_what_the_user_has_said_stays(environment: dict[str, str]) -> None:
    answer, _ = _faults("keep_freed_memory()", **environment)
    assert answer == "False"


def test_other_systems_and_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("MALLOC_", "GLIBC_")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())  # one that has no mallopt
    assert not keep_freed_memory()
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: pytest.fail("looked for glibc"))
    assert not keep_freed_memory()
