"""The files of the sweeps: they can run, belong to claims, and are what the README says."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

import pytest

from reproduction import records, sweeps, theory
from reproduction.claims import ALL as CLAIMS
from reproduction.claims import tried
from reproduction.records import HERE
from tombola.experiments.config import RunConfig
from tombola.experiments.sweep.file import read_sweep

FILES = sorted(set(sweeps.ALL) - {theory.NAME})


def configs(sweep: str) -> list[RunConfig]:
    return [run.config for run in read_sweep(sweeps.file_of(sweep)).runs]


@pytest.mark.parametrize("sweep", FILES)
def test_a_sweep_has_its_seeds_of_every_combination(sweep: str) -> None:
    runs = configs(sweep)
    seeds = range(3, 12) if sweep.endswith("-seeds") else range(1) if sweep == tried.SWEEP else range(3)
    assert sorted(run.seed for run in runs) == sorted([*seeds] * (len(runs) // len(seeds)))
    assert {run.precision for run in runs} == {"float32" if sweep.startswith(("b2", "c1")) else "bfloat16"}
    assert {run.device for run in runs} == {"cuda" if sweep.startswith("gpu-") else "cpu"}


def test_claims_and_sweeps_belong_together() -> None:
    named = [sweep for claim in CLAIMS for sweep in claim.sweeps]
    assert set(named) == set(sweeps.ALL)
    assert set(sweeps.TWO_HOURS) <= set(sweeps.ALL)


@pytest.mark.parametrize(
    ("sweep", "other", "may_differ"),
    [
        ("a1-width-0.5-signed-constant", "a1-width-0.25", {"width"}),
        ("a1-width-0.5-kaiming-uniform", "a1-width-0.25", {"width"}),
        ("b1-0.5-0.3", "b1-0.9-0.7", {"source_density"}),
        ("b2-0.05-0.01", "b2-0.2", {"source_density"}),
        ("a2", "a1-width-0.25", {"rate", "init"}),
        ("c2-seeds", "c2", {"seed", "lr"}),
        ("a1-seeds", "a1-width-0.25", {"seed"}),
        ("b1-seeds", "b1-0.9-0.7", {"seed", "source_density"}),
        ("b1-seeds", "b1-0.5-0.3", {"seed", "source_density"}),
        ("b3-imp-uniform", "b3-imp", {"fan_scaling", "rule"}),
        ("gpu-a2-resnet18", "gpu-a1-resnet18", {"rate", "init", "width"}),
        ("gpu-b1-vgg16", "gpu-b1-resnet18", {"model"}),
    ],
)
def test_what_is_compared_differs_in_nothing_else(sweep: str, other: str, may_differ: set[str]) -> None:
    def settings(name: str) -> list[dict[str, Any]]:
        of_one = [
            run
            for run in configs(name)
            if run.settings()["method"] in ("iterand", "signed-supermask", "static", "imp")
        ]
        return [{k: v for k, v in asdict(run).items() if k not in may_differ} for run in of_one]

    assert settings(sweep)
    assert all(each in settings(other) for each in settings(sweep))


def test_halves_of_a_sweep_are_all_of_it() -> None:
    def of(option: str, *names: str) -> list[Any]:
        return [run.settings()[option] for name in names for run in configs(name)]

    def count(*names: str) -> dict[float, int]:
        densities = of("source_density", *names)
        return {density: densities.count(density) for density in densities}

    assert count("b1-0.9-0.7", "b1-0.5-0.3") == {1.0: 3, **dict.fromkeys((0.9, 0.7, 0.5, 0.3), 12)}
    assert count("b2-0.2", "b2-0.05-0.01") == {1.0: 3, **dict.fromkeys((0.2, 0.05, 0.01), 12)}
    halves = [f"a1-width-0.5-{init}" for init in ("signed-constant", "kaiming-uniform")]
    whole = configs("a1-width-0.25")
    assert sorted(run.init for half in halves for run in configs(half)) == sorted(run.init for run in whole)


@pytest.mark.parametrize("sweep", ["b3-rigl", "gpu-b3-resnet18"])
def test_rigl_is_asked_for_the_same_layerwise_densities_in_both_sources(sweep: str) -> None:
    rules = {run.settings()["ticket_rule"] for run in configs(sweep) if run.settings()["method"] == "rigl"}
    assert rules == {"erk"}


def test_the_readme_counts_the_runs() -> None:
    told = (HERE / "README.md").read_text()
    counts = dict(re.findall(r"^\| `([\w.-]+)` \| (\d+) \|", told, flags=re.MULTILINE))
    assert counts == {name: str(len(configs(name))) for name in FILES if not name.startswith("gpu-")}
    (total,) = re.findall(r"the papers' settings: (\d+) runs", told)
    assert int(total) == sum(len(configs(name)) for name in sweeps.GPU)


@pytest.mark.parametrize("sweep", FILES)
def test_kept_records_are_of_the_sweep_as_it_is(sweep: str) -> None:
    """A sweep that is changed, were it one setting, must be run again."""
    kept = records.KEPT / sweep
    if not kept.exists():
        pytest.skip("not run")
    ran = read_sweep(kept / records.SWEPT).runs
    assert [(run.name, run.config) for run in ran] == [
        (run.name, run.config) for run in read_sweep(sweeps.file_of(sweep)).runs
    ]
    assert [row["run"] for row in records.runs(sweep).rows] == [run.name for run in ran]
