"""Which engine a sweep gets, and what is said where it is not to be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from tombola.errors import ArgumentError, TombolaError
from tombola.experiments.sweep import choice
from tombola.experiments.sweep.choice import choose
from tombola.experiments.sweep.file import Resources

LOG = Path("ray.log")


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four processors, no GPU, ray installed, no cluster named."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    monkeypatch.setattr(choice, "find_spec", lambda _: object())
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.mark.parametrize(
    ("resources", "runs", "said"),
    [
        (Resources(), 2, "with Ray on this machine"),
        (Resources(), 1, "one after another in this process"),
        (Resources(cpus=2), 9, "with Ray on this machine"),
        (Resources(cpus=3), 9, "one after another in this process"),
        (Resources(cpus=8), 9, "one after another in this process"),
        (Resources(gpus=1), 9, "one after another in this process"),
    ],
)
def test_auto(resources: Resources, runs: int, said: str) -> None:
    assert choose("auto", None, resources, runs, LOG).title == said


def test_gpus_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    assert choose("auto", None, Resources(gpus=0.5), 9, LOG).title == "with Ray on this machine"
    assert choose("auto", None, Resources(gpus=1), 9, LOG).title == "one after another in this process"


def test_a_cluster_is_used_for_a_single_run(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose("auto", "auto", Resources(), 1, LOG).title == "with Ray at auto"
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert choose("auto", None, Resources(), 1, LOG).title == "with Ray at head:6379"
    assert choose("ray", "other:1", Resources(), 1, LOG).title == "with Ray at other:1"
    assert choose("here", None, Resources(), 9, LOG).title == "one after another in this process"


def test_an_address_is_not_for_this_process() -> None:
    with pytest.raises(ArgumentError, match="--address is of a Ray cluster: not with --engine here"):
        choose("here", "auto", Resources(), 1, LOG)


def test_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "find_spec", lambda _: None)
    hint = "(4 at a time would fit: pip install 'tombola[cluster]')"
    assert choose("auto", None, Resources(), 9, LOG).title == f"one after another in this process {hint}"
    needs = r"needs packages that are not installed: pip install 'tombola\[cluster\]'"
    with pytest.raises(TombolaError, match=f"^engine ray {needs}"):
        choose("ray", None, Resources(), 9, LOG)
    with pytest.raises(TombolaError, match=f"^--address {needs}"):
        choose("auto", "auto", Resources(), 9, LOG)
