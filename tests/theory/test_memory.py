"""Sources that do not fit into memory."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
from construction_helpers import EVERY, pairs

from tombola.errors import ArgumentError
from tombola.theory import construct, memory


@pytest.mark.parametrize("construction", EVERY)
def test_a_source_that_no_memory_holds_is_refused_before_it_is_drawn(construction: str) -> None:
    with pytest.raises(
        ArgumentError, match=r"a source of density 1e-06 would have .* weights, which take .* GiB where"
    ) as told:
        construct(pairs([4, 5, 3]), construction=construction, density=1e-6)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 300


def test_a_source_may_be_as_large_as_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    target = pairs([4, 5, 3])
    sizes = [mask.size for mask in construct(target).ticket.mask.values()]
    least = 5 * max(sizes) + sum(sizes)  # a float32 and a boolean; another of all tensors
    monkeypatch.setattr(memory, "memory", lambda: least)
    construct(target)
    monkeypatch.setattr(memory, "memory", lambda: least - 1)
    with pytest.raises(ArgumentError, match="a smaller width_factor"):
        construct(target)


def test_the_least_of_what_is_told_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = memory.memory()
    assert 0 < there <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit, none = tmp_path / "memory.max", tmp_path / "none"
    monkeypatch.setattr(memory, "_LIMITS", (none, limit))
    limit.write_text("max\n")
    assert memory.memory() >= there
    limit.write_text("1048576\n")
    assert memory.memory() == 1048576
    limit.unlink()
    monkeypatch.delattr(os, "sysconf")  # as on Windows
    assert memory.memory() == math.inf
