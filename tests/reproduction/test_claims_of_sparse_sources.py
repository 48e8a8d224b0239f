"""What the judge makes of B1 to B4 by records that are made up."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from record_helpers import noise, pretend, words

from reproduction.claims import b1, b2, b3, b4
from reproduction.comparison import Word


def test_b1_judges_the_uniform_rule_and_the_best(kept: Path) -> None:
    def accuracy(options: dict[str, Any]) -> float:
        if options["source_density"] == 1:
            return 0.5 + noise(options)
        level = 0.4 if options["source_density"] == 0.3 else 0.5
        return noise(options) + level + {"uniform": 0.0, "erk": 0.2}.get(options["rule"], -0.1)

    pretend(kept, "b1-0.9-0.7", accuracy)
    assert words(b1.findings(), "Conv-6", "uniform", "0.9 ") == {"agrees"}
    assert words(b1.findings(), "Conv-6", "0.3 ") == {"not run"}
    pretend(kept, "b1-0.5-0.3", accuracy)
    assert words(b1.findings(), "Conv-6", "uniform", "0.3 ") == {"disagrees"}
    assert words(b1.findings(), "Conv-6", "best of four sources (erk)", "0.3 ") == {"agrees"}
    bad = "rule=balanced,source_density=0.3,seed=0"  # of a rule that would not be chosen
    pretend(kept, "b1-0.5-0.3", accuracy, without={bad: ""})
    assert words(b1.findings(), "Conv-6", "best of four", "0.3 ") == {"not run"}
    assert words(b1.findings(), "Conv-6", "uniform", "0.3 ") == {"disagrees"}
    pretend(kept, "b1-0.5-0.3", accuracy, without={bad: "the loss became nan in epoch 1"})
    assert words(b1.findings(), "Conv-6", "best of four sources (erk)", "0.3 ") == {"agrees"}


def test_b1_is_decided_by_other_seeds_under_the_rule_that_the_first_chose(kept: Path) -> None:
    def first(options: dict[str, Any]) -> float:
        return noise(options) + (
            0.6 if options["rule"] == "balanced" and options["source_density"] < 1 else 0.5
        )

    def others(options: dict[str, Any]) -> float:
        return noise({"seed": options["seed"] % 3}) + (0.4 if options["rule"] == "balanced" else 0.5)

    for sweep in ("b1-0.9-0.7", "b1-0.5-0.3"):
        pretend(kept, sweep, first)
    assert words(b1.findings(), "Conv-6", "best of four sources (balanced)") == {"agrees"}
    pretend(kept, "b1-seeds", others, without={"source_density=1.0,seed=4": ""})
    assert words(b1.findings(), "Conv-6", "best of four sources (balanced)") == {"agrees"}
    pretend(kept, "b1-seeds", others)
    assert words(b1.findings(), "Conv-6", "best of four sources (balanced)", "0.3 ") == {"disagrees"}
    assert words(b1.findings(), "Conv-6", "uniform", "0.3 ") == {"agrees"}
    assert words(b1.findings(), "Conv-6", "best of four", "0.9 ") == {"not run"}  # no other seeds of this one
    assert "(n = 9) against 50.00 ± 0.09 (n = 9)" in b1.findings()[0].figures


@pytest.mark.parametrize(
    ("error", "word"),
    [
        ("", "not run"),  # waits
        ("No space left on device", "not run"),  # the next call tries it again
        ("the loss became nan in epoch 1", "not decided"),  # 10 %
    ],
)
def test_a_group_is_judged_once_all_its_runs_have_ended(kept: Path, error: str, word: Word) -> None:
    pretend(kept, "b3-rigl", lambda options: 0.7 + noise(options))
    assert words(b3.findings(), "Conv-6", "RigL", "0.2") == {"agrees"}
    name = "density=0.2,epochs=10,method=rigl,rule=erk,source_density=0.5,ticket_rule=erk,seed=0"
    pretend(kept, "b3-rigl", lambda options: 0.7 + noise(options), without={name: error})
    assert words(b3.findings(), "Conv-6", "RigL", "to density 0.2") == {word}
    assert words(b3.findings(), "Conv-6", "RigL", "to density 0.05") == {"agrees"}
    counted = "50.03 ± 34.67 (n = 3) against" in b3.findings()[0].figures  # 10, 70 and 70.1 %
    assert counted == (word == "not decided")


def test_b2_and_b3(kept: Path) -> None:
    def trained(options: dict[str, Any]) -> float:
        level = {"balanced": 0.7, "pyramidal": 0.5, "uniform": 0.6, "erk": 0.6}.get(options["rule"], 0.7)
        return noise(options) + (0.7 if options["method"] == "dense" else level)

    def from_source(options: dict[str, Any]) -> float:
        worse = options["source_density"] < 1 and options["method"] == "imp"
        return noise(options) + (0.6 if worse else 0.7)

    pretend(kept, "b2-0.2", trained)
    assert words(b2.findings(), "Conv-6", "0.01: balanced is better than erk") == {"not run"}
    pretend(kept, "b2-0.05-0.01", trained)
    assert words(b2.findings(), "Conv-6", "balanced masks of density 0.2") == {"agrees"}
    assert words(b2.findings(), "Conv-6", "uniform masks of density 0.2") == {"disagrees"}
    assert words(b2.findings(), "Conv-6", "0.01: balanced is better than erk") == {"agrees"}
    assert words(b2.findings(), "Conv-6", "0.05: pyramidal is better than uniform") == {"disagrees"}
    cut = "; 3 of 3 pyramidal masks leave a layer empty"
    told = [each for each in b2.findings() if cut in each.figures]
    assert all("density 0.01: pyramidal" in each.statement for each in told)
    assert len(told) == 2  # against uniform, and against ERK
    pretend(kept, "b3-rigl", from_source)
    assert words(b3.findings(), "Conv-6", "RigL") == {"agrees"}
    assert words(b3.findings(), "Conv-6", "IMP") == {"not run"}
    pretend(kept, "b3-imp", from_source)
    assert words(b3.findings(), "Conv-6", "IMP", "from an ERK") == {"disagrees"}
    assert words(b3.findings(), "Conv-6", "IMP", "from a uniform") == {"not run"}
    pretend(kept, "b3-imp-uniform", lambda options: 0.7 + noise(options))
    assert words(b3.findings(), "Conv-6", "IMP", "from a uniform") == {"agrees"}


def test_b2_can_be_judged_and_drawn_when_only_dense_networks_have_finished(kept: Path) -> None:
    pretend(kept, "b2-0.2", lambda options: 0.7 + noise(options))
    table = kept / "b2-0.2" / "results.csv"
    with table.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    with table.open("w", newline="") as file:  # as `tombola sweep` writes it then
        writer = csv.DictWriter(file, [name for name in rows[0] if name != "empty_layers"])
        writer.writeheader()
        for row in rows:
            del row["empty_layers"]
            writer.writerow(row if row["method"] == "dense" else {**row, "state": "waiting"})
    assert {finding.word for finding in b2.findings()} == {"not run"}
    b2.CLAIM.draw(Figure())


def test_b4_tells_how_far_a_law_is_off_as_a_part_of_what_was_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    half, quarter_more = math.log(2), math.log(0.8)  # of measured / fitted
    laws = [
        {"law": "1/p", "densities": [0.9, 0.1], "scale": [9, 8, 10], "off": [0.0, quarter_more]},
        {"law": "1/log(1/(1-p))", "densities": [0.9, 0.1], "scale": [9, 8, 10], "off": [half, 0.0]},
    ]
    monkeypatch.setattr(b4, "measured", lambda: {"laws": laws})
    (told,) = b4.findings()
    assert told.word == "disagrees"
    assert "measured: 50%, at p = 0.9 (1/p, fitted alike: 25%)" in told.figures
