"""What the judge makes of A1 to A4 by records that are made up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from record_helpers import noise, pretend, words

from reproduction.claims import a1, a2, a3, a4, c1
from reproduction.comparison import Word


def gain(options: dict[str, Any]) -> float:
    """IteRand gains 8 points at width 0.25, 2 at 0.5; 20 points more at 0.5, and none with other weights."""
    better = {0.25: 0.08, 0.5: 0.02}[options["width"]] if options["method"] == "iterand" else 0.0
    base = 0.7 if options["width"] == 0.5 else 0.5
    return noise(options) + base + (better if options["init"] == "signed_constant" else 0)


def test_a1(kept: Path) -> None:
    pretend(kept, "a1-width-0.25", gain)
    half = a1.findings()
    assert words(half, "30 epochs", "width 0.25, signed_constant") == {"agrees"}
    assert words(half, "30 epochs", "width 0.25, kaiming_uniform") == {"not decided"}
    assert words(half, "30 epochs", "width 0.5, ") == {"not run"}
    pretend(kept, "a1-width-0.5-signed-constant", gain)
    found = a1.findings()
    assert words(found, "30 epochs", "signed_constant: the gain") == {"agrees"}
    assert words(found, "30 epochs", "kaiming_uniform: the gain") == {"not run"}
    pretend(kept, "a1-width-0.5-kaiming-uniform", gain)
    found = a1.findings()
    assert words(found, "30 epochs", "kaiming_uniform: the gain") == {"not decided"}
    assert words(found, "100 epochs") == {"not run"}


def test_a1_is_decided_by_other_seeds_where_they_are_of_its_runs(kept: Path) -> None:
    pretend(kept, "a1-width-0.25", lambda options: 0.7 + noise(options))
    found = a1.findings()
    assert words(found, "30 epochs", "width 0.25, ") == {"not decided"}
    pretend(
        kept,
        "a1-seeds",
        lambda options: (
            noise({"seed": options["seed"] % 3}) + (0.7 if options["method"] == "iterand" else 0.6)
        ),
    )
    found = a1.findings()
    assert words(found, "30 epochs", "width 0.25, signed_constant") == {"agrees"}
    assert words(found, "30 epochs", "width 0.25, kaiming_uniform") == {"not decided"}
    assert "(n = 9)" in found[0].figures


@pytest.mark.parametrize("error", ["", "the loss became nan in epoch 1"])
def test_a_width_that_all_runs_of_a_sweep_share_is_that_of_unfinished_ones_too(
    kept: Path, error: str
) -> None:
    pretend(kept, "a1-width-0.25", lambda options: 0.7 + noise(options))
    name = "init=signed_constant,method=edge-popup,seed=2"
    pretend(kept, "a1-width-0.25", lambda options: 0.7 + noise(options), without={name: error})
    told = a1.findings()[0]
    assert told.word == ("not decided" if error else "not run")
    if error:
        assert "70.00 ± 0.10 (n = 3) against 49.97 ± 34.61 (n = 3)" in told.figures
        assert [each[1] for each in c1.tickets()].count("signed_constant") == 2  # it is drawn with its 10 %


def test_a2_takes_its_rates_from_two_sweeps(kept: Path) -> None:
    def accuracy(options: dict[str, Any]) -> float:
        rate = options["rate"] if options["method"] == "iterand" else 0.0
        if options["init"] != "signed_constant":
            return 0.9  # to be left out
        return noise(options) + {0.0: 0.5, 0.01: 0.53, 0.1: 0.53, 1.0: 0.6}[rate]

    for sweep in ("a1-width-0.25", "a2"):
        pretend(kept, sweep, accuracy)
    found = a2.findings()
    assert words(found, "Conv-6", "than rate 1") == {"disagrees"}
    assert [a2.NETWORKS[0].accuracies(rate) for rate in a2.RATES[:2]] == [
        pytest.approx([49.9, 50.0, 50.1]),
        pytest.approx([52.9, 53.0, 53.1]),
    ]
    assert words(found, "ResNet") == {"not run"}


@pytest.mark.parametrize(
    ("wide", "word", "where"),
    [(0.72, "agrees", "equal at 0.41 (0.39 … 0.44)"), (0.6, "disagrees", "equal beyond 0.5; at 0.5 -10.00")],
)
def test_a3_finds_the_width_that_equals_edge_popups(kept: Path, wide: float, word: Word, where: str) -> None:
    """IteRand is at 65 % at width 0.25 and at `wide` at 0.5, edge-popup at 70, each ± 0.3. The line to 72
    meets 70 at 5/7 of the way, 0.25 · 2^(5/7) = 0.41; there the difference is ± 0.218 at 4.0 degrees of
    freedom, so 0.61 at 95 %, which is 0.087 of the way.
    """

    def accuracy(options: dict[str, Any]) -> float:
        better = 0.65 if options["width"] == 0.25 else wide
        return 3 * noise(options) + (better if options["method"] == "iterand" else 0.7)

    pretend(kept, "a1-width-0.25", accuracy)
    assert words(a3.findings()) == {"not run"}
    for sweep in ("a1-width-0.5-signed-constant", "a1-width-0.5-kaiming-uniform"):
        pretend(kept, sweep, accuracy)
    assert words(a3.findings(), "30 epochs") == {word}
    assert where in a3.findings()[0].test


def test_a3_is_of_all_widths_and_of_the_first_that_equals(kept: Path) -> None:
    """IteRand at 65, 72 and 60 % at widths 0.25, 0.5 and 1, edge-popup at 70, each ± 0.3."""

    def accuracy(options: dict[str, Any]) -> float:
        better = {0.25: 0.65, 0.5: 0.72}.get(options["width"], 0.6)
        return 3 * noise(options) + (better if options["method"] == "iterand" else 0.7)

    pretend(kept, "gpu-a1-conv6", accuracy)
    assert words(a3.findings(), "Conv-6, 100 epochs") == {"agrees"}
    told = [each.test for each in a3.findings() if "Conv-6, 100 epochs" in each.statement]
    assert all("equal at 0.41 (0.39 … 0.44)" in each for each in told)


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (-1.05, -0.95, "agrees"),
        (-0.97, -0.95, "agrees"),
        (-1.5, -0.5, "not decided"),  # an interval that says little
        (-1.05, -0.85, "not decided"),
        (-0.85, -0.8, "disagrees"),
        (0.9, 1.1, "disagrees"),
    ],
)
def test_a_slope_must_be_known_well_to_agree(low: float, high: float, word: Word) -> None:
    assert a4.near(low, high, -1.0) == word
