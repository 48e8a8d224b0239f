"""Runs equal but for the seed, and what they come to: checked by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from report_helpers import unfinished, write_run

from tombola.report.groups import Group, Spread, group
from tombola.report.run import Run
from tombola.report.runs import find_runs


def grouped(folder: Path) -> tuple[list[Run], list[Group]]:
    runs, _ = find_runs([folder])
    return runs, group(runs)


def add(folder: Path, name: str, seed: int, accuracy: float, curve: list[float], **settings: Any) -> None:
    write_run(folder / name, {"seed": seed, **settings}, {"test_accuracy": accuracy}, curve)


def test_seeds_come_together_and_nothing_else(tmp_path: Path) -> None:
    for name, seed, settings in (
        ("a", 0, {}),
        ("b", 1, {}),
        ("c", 0, {"width": 0.2}),
        ("d", 2, {}),
        ("e", 0, {"method": "edge-popup"}),
        ("f", 3, {"data_dir": "/elsewhere"}),  # a place changes nothing
    ):
        add(tmp_path, name, seed, 0.5, [0.5], **settings)
    assert [each.members for each in grouped(tmp_path)[1]] == [[0, 1, 3, 5], [2], [4]]


def test_mean_and_standard_deviation(tmp_path: Path) -> None:
    add(tmp_path, "a", 0, 0.2, [0.1, 0.3])
    add(tmp_path, "b", 1, 0.4, [0.3, 0.5])
    add(tmp_path, "c", 2, 0.6, [0.2])
    _, (both,) = grouped(tmp_path)
    accuracy = both.figures["test_accuracy"]
    assert accuracy is not None
    assert accuracy.mean == pytest.approx(0.4)
    assert accuracy.deviation == pytest.approx(0.2)
    assert accuracy.count == 3
    assert both.curve[1].mean == pytest.approx(0.2)
    assert both.curve[2].mean == pytest.approx(0.4)
    assert both.curve[2].deviation == pytest.approx(0.2 / 2**0.5)
    assert both.curve[2].count == 2


def test_one_seed_has_no_deviation() -> None:
    assert Spread.of([0.25]) == Spread(0.25, None, 1)
    assert Spread.of([None, 0.25]) == Spread(0.25, None, 1)
    assert Spread.of([None]) is None


def test_an_unfinished_run_adds_to_the_curve_alone(tmp_path: Path) -> None:
    add(tmp_path, "a", 1, 0.2, [0.5, 0.6])
    unfinished(tmp_path / "b")
    _, (both,) = grouped(tmp_path)
    assert both.figures["test_accuracy"] == Spread(0.2, None, 1)
    assert both.curve[1].count == 2


def test_a_repeated_seed_counts_once(tmp_path: Path) -> None:
    for name, seed, accuracy in (("a", 0, 0.2), ("b", 0, 0.3), ("c", 1, 0.4)):
        add(tmp_path, name, seed, accuracy, [accuracy])
    unfinished(tmp_path / "0")  # of seed 0, too, and found before the others
    (all_of_them,) = grouped(tmp_path)[1]
    assert (all_of_them.members, all_of_them.seeds) == ([0, 1, 2, 3], 2)
    spread = all_of_them.figures["test_accuracy"]
    assert spread is not None
    assert spread.mean == pytest.approx(0.3)
    assert spread.count == 2
    assert all_of_them.curve[1].count == 2


def test_without_configurations_what_came_out_tells_runs_apart(tmp_path: Path) -> None:
    for name, seed, width in (("a", 0, 0.1), ("b", 1, 0.1), ("c", 0, 0.2)):
        write_run(tmp_path / name, {"seed": seed, "width": width})
        (tmp_path / name / "config.toml").unlink()
    assert [each.members for each in grouped(tmp_path)[1]] == [[0, 1], [2]]
