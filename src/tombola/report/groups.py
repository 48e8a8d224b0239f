"""Runs that are equal but for the seed, and what they come to together: mean and standard deviation."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tombola.report.run import Run

FIGURES = ("test_accuracy", "validation_accuracy", "density", "bits_per_weight", "bytes", "seconds")
"""What is measured of a run."""


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (None of a single one) of `count` values."""

    mean: float
    deviation: float | None
    count: int

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Spread | None:
        """That of the values that are there; None where there are none."""
        there = [float(value) for value in values if value is not None]
        if not there:
            return None
        deviation = statistics.stdev(there) if len(there) > 1 else None
        return cls(statistics.fmean(there), deviation, len(there))


@dataclass(frozen=True)
class Group:
    """Runs equal but for the seed, by their places in the list; of how many `seeds`; figures by name and
    accuracies by epoch, of one run for each seed.
    """

    members: list[int]
    seeds: int
    figures: dict[str, Spread | None]
    curve: dict[int, Spread]


def figure(run: Run, name: str) -> float | None:
    """One of `FIGURES` of a run; None until it has ended, or where it has none."""
    if run.result is None:
        return None
    return run.nbytes if name == "bytes" else run.result.get(name)


def group(runs: Sequence[Run]) -> list[Group]:
    """The groups of `runs`, in the order of their first ones."""
    members: dict[str, list[int]] = {}
    for place, run in enumerate(runs):
        members.setdefault(_key(run), []).append(place)
    return [_group(runs, places) for places in members.values()]


def _key(run: Run) -> str:
    """Equal for runs that differ in the seed alone. Where config.toml is missing, going by what came out."""
    asked = run.settings
    if not asked and run.result is not None:
        names = ("method", "data", "model", "width", "density", "epochs")
        asked = {name: run.result.get(name) for name in names}
    said = {name: value for name, value in asked.items() if name not in ("seed", "data_dir")}
    return json.dumps([run.command, said], sort_keys=True)


def _group(runs: Sequence[Run], places: list[int]) -> Group:
    members = _one_a_seed([runs[place] for place in places])
    figures = {name: Spread.of(figure(run, name) for run in members) for name in FIGURES}
    by_epoch: dict[int, list[float]] = {}
    for run in members:
        for epoch, accuracy in zip(run.epochs, run.accuracies, strict=True):
            by_epoch.setdefault(epoch, []).append(accuracy)
    curve = {epoch: spread for epoch in sorted(by_epoch) if (spread := Spread.of(by_epoch[epoch]))}
    return Group(places, len(members), figures, curve)


def _one_a_seed(runs: Sequence[Run]) -> list[Run]:
    """The runs without repeats of a seed, which tell nothing of how results vary: the first that has ended
    counts. A run that does not say its seed counts by itself.
    """
    found: dict[object, Run] = {}
    for place, run in enumerate(runs):
        seed = run.value("seed")
        key = ("unknown", place) if seed is None else seed
        if key not in found or (run.finished and not found[key].finished):
            found[key] = run
    return list(found.values())
