"""What the judge makes of records that are made up, and of those that are kept."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from PIL import Image
from record_helpers import pretend

from reproduction import figures, page, records
from reproduction.claims import ALL as CLAIMS
from reproduction.claims import a1, a2, a3, a4, b1, b2, b3, b4, c1, c2, c3, tried
from reproduction.claims.claim import verdict
from reproduction.comparison import Finding, Word


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(records, "KEPT", tmp_path / "records")
    return tmp_path / "records"


def words(found: list[Finding], *parts: str) -> set[Word]:
    """The verdicts of the statements that have all of `parts` in them; there has to be one."""
    chosen = {finding.word for finding in found if all(part in finding.statement for part in parts)}
    assert chosen
    return chosen


def noise(options: dict[str, Any]) -> float:
    return (-0.001, 0.0, 0.001)[options["seed"]]


def gain(options: dict[str, Any]) -> float:
    """IteRand gains 8 points at width 0.25, 2 at 0.5; 20 points more at 0.5, and none with other weights."""
    better = {0.25: 0.08, 0.5: 0.02}[options["width"]] if options["method"] == "iterand" else 0.0
    base = 0.7 if options["width"] == 0.5 else 0.5
    return noise(options) + base + (better if options["init"] == "signed_constant" else 0)


def test_without_records_nothing_was_run(kept: Path, tmp_path: Path) -> None:
    assert {verdict(claim.findings()) for claim in CLAIMS} == {"not run"}
    page.write(CLAIMS, tmp_path / "page.md")
    told = (tmp_path / "page.md").read_text()
    assert told.count("| not run |") == len(CLAIMS)
    assert "png" not in told


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


def test_c1_compares_with_networks_of_at_least_as_many_bytes(kept: Path) -> None:
    def trained(options: dict[str, Any]) -> float:
        level = {0.25: 0.8, 0.125: 0.7, 0.0625: 0.5}[options["width"]]
        return noise(options) + level - (0 if options["lr"] == 0.03 else 0.2)

    pretend(kept, "a1-width-0.25", lambda options: 0.6 + noise(options))  # tickets of 25,000 bytes
    names = pretend(kept, "c1", trained)  # float32: 562,500, 140,625 and 35,156 bytes
    lines = [
        f'"{run.name}",{run.config.seed},{2_250_000 * run.config.width**2:.0f},0.7,0.55' for run in names
    ]
    (kept / "c1" / "int8.csv").write_text(
        "\n".join(["run,seed,int8_bytes,float32_accuracy,test_accuracy", *lines])
    )
    found = c1.findings()
    assert words(found, "width 0.25", "float32") == {"agrees"}  # 60 against 50 % in 35,156 bytes
    assert words(found, "width 0.25", "int8") == {"agrees"}  # 60 against 55 % in 35,156
    assert words(found, "width 0.5") == {"not run"}
    told = [each.test for each in found if each.test]
    assert told and all("with width 0.0625 and learning rate 0.03 in" in test for test in told)

    def tests_without(run: str, error: str) -> list[str]:
        pretend(kept, "c1", trained, without={run: error})
        return [each.test for each in c1.findings() if each.test]

    waiting = tests_without("lr=0.01,width=0.0625,seed=0", "")
    assert waiting and not any("width 0.0625" in test for test in waiting)
    without_disk = tests_without("lr=0.03,width=0.0625,seed=0", "No space left on device")
    assert without_disk == waiting  # the next call tries it again
    diverged = tests_without("lr=0.03,width=0.0625,seed=0", "the loss became nan in epoch 1")
    assert diverged and all("with width 0.0625 and learning rate 0.01 in" in test for test in diverged)


def test_c2_asks_for_a_better_ticket_of_no_more_bytes(kept: Path) -> None:
    def accuracy(options: dict[str, Any]) -> float:
        return (0.75 if options["method"] == "signed-supermask" else 0.8) + noise(options)

    pretend(kept, "a1-width-0.25", lambda options: 0.7 + noise(options))  # tickets of 25,000 bytes
    assert words(c2.findings()) == {"not run"}
    pretend(kept, "c2", accuracy)
    assert words(c2.findings(), "as in the paper") == {"agrees"}
    assert words(c2.findings(), "signed", "supermasks' scores") == {"disagrees"}
    pretend(kept, "c2", accuracy, nbytes=400_100)  # 25,006
    assert words(c2.findings(), "as in the paper") == {"not decided"}
    assert words(c2.findings(), "signed", "supermasks' scores") == {"disagrees"}  # worse, and larger


def test_c2_is_decided_by_other_seeds_and_the_best_learning_rate(kept: Path) -> None:
    def accuracy(options: dict[str, Any]) -> float:
        seed = noise({"seed": options["seed"] % 3})
        if options["method"] == "signed-supermask":
            return seed + 0.7
        if options["method"] == "edge-popup":
            return seed + 0.55
        return seed + (0.6 if options["seed"] < 3 else 0.8 if options["lr"] == 1.0 else 0.5)

    pretend(kept, "c2", accuracy)
    assert words(c2.findings(), "signed", "supermasks' scores") == {"agrees"}
    (waits, *_) = (run.name for run in pretend(kept, "c2-seeds", accuracy) if "lr=1.0" in run.name)
    assert words(c2.findings(), "signed", "supermasks' scores") == {"disagrees"}
    assert "(n = 9) against 80.00" in c2.findings()[1].figures
    assert words(c2.findings(), "magnitude of the score") == {"disagrees"}
    pretend(kept, "c2-seeds", accuracy, without={waits: ""})
    assert words(c2.findings(), "signed", "supermasks' scores") == {"agrees"}
    pretend(kept, "c2-seeds", accuracy, without={waits: "the loss became nan in epoch 1"})
    assert "(n = 9) against 50.00" in c2.findings()[1].figures  # that rate is not taken
    assert words(c2.findings(), "magnitude of the score") == {"agrees"}


def test_what_was_tried_before_c2_is_told_once_all_of_it_has_ended(kept: Path) -> None:
    def accuracy(options: dict[str, Any]) -> float:
        return 0.5 + 0.1 * options["lr"] if options["scope"] == "global" else 0.5

    assert tried.table() == ""
    waits = "anneal=5,density=0.5,lr=1.0,method=iterand,period=21,seed=0"
    runs = pretend(kept, tried.SWEEP, accuracy, without={waits: ""})
    assert tried.table() == ""
    pretend(kept, tried.SWEEP, accuracy, without={waits: "the loss became nan in epoch 1"})
    rows = tried.table().splitlines()[5:]
    assert len(rows) == len(set(rows)) == len(runs)
    assert {row.count("|") for row in rows} == {6}
    assert "| IteRand, one threshold for all layers | 0.5 | 1 | 60.0 | 25,000 |" in rows
    assert "| IteRand, annealed from density 1 in 5 steps | 0.5 | 1 | diverged |  |" in rows


def test_c3_takes_the_best_ticket_that_is_small_enough(kept: Path) -> None:
    def accuracy(options: dict[str, Any]) -> float:
        return noise(options) + {0.85: 0.9, 0.9: 0.95, 0.95: 0.99}.get(options["density"], 0.8)

    pretend(kept, c3.TRAINED, lambda options: 0.955 + noise(options))
    assert words(c3.findings()) == {"not run"}
    runs = pretend(kept, c3.TICKETS, accuracy, nbytes=c3.MOST_BYTES)
    assert words(c3.findings(), "(signed-supermask, 0.95, ") == {"agrees"}
    table = kept / c3.TICKETS / "results.csv"
    rows = table.read_text().splitlines()
    larger = [row.replace("2000000", "2000001") if "density=0.95" in row else row for row in rows]
    table.write_text("\n".join(larger))
    assert words(c3.findings(), "(signed-supermask, 0.9, ") == {"agrees"}  # 95 against 95.5 %
    pretend(kept, c3.TICKETS, accuracy, nbytes=c3.MOST_BYTES, without={runs[0].name: ""})
    assert words(c3.findings()) == {"not run"}
    pretend(kept, c3.TICKETS, accuracy, nbytes=c3.MOST_BYTES + 1)
    assert words(c3.findings()) == {"not run"}  # none is


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


def test_the_page_tells_what_was_run_and_draws_it(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "FIGURES", tmp_path / "figures")
    for sweep in ("a1-width-0.25", "a1-width-0.5-signed-constant", "a2"):
        pretend(kept, sweep, lambda options: 0.5 + noise(options))
    page.write(CLAIMS, tmp_path / "page.md")
    told = (tmp_path / "page.md").read_text()
    assert "| [A1](#a1) |" in told
    assert "50.00 ± 0.10 (n = 3) against 50.00 ± 0.10 (n = 3) | Welch: +0.00" in told
    assert "abacus" in told
    assert "results.csv) of" not in told
    table = kept / "a2" / "results.csv"
    table.write_text(table.read_text().replace(",finished,", ",waiting,", 1))
    page.write(CLAIMS, tmp_path / "page.md")
    assert "(records/a2/results.csv) of 5 of 6 runs; abacus" in (tmp_path / "page.md").read_text()
    table.write_text(table.read_text().replace(",finished,", ",failed,", 1))
    page.write(CLAIMS, tmp_path / "page.md")
    assert "of 4 of 6 runs (1 failed); abacus" in (tmp_path / "page.md").read_text()
    drawn = {file.stem for file in (tmp_path / "figures").iterdir()}
    assert drawn == {"a1", "a2", "a3"}
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in (tmp_path / "figures").iterdir())


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


def test_figures_of_sweeps_whose_baseline_is_missing(kept: Path) -> None:
    for claim, sweep, missing in ((b2.CLAIM, "b2-0.2", "dense"), (b3.CLAIM, "b3-rigl", "1.0")):
        pretend(kept, sweep, noise)
        table = kept / sweep / "results.csv"
        lines = [line for line in table.read_text().splitlines() if f",{missing}," not in line]
        table.write_text("\n".join(lines) + "\n")
        figure = Figure()
        claim.draw(figure)
        assert len(figure.axes) == 1


@pytest.mark.parametrize(
    ("given", "whole"),
    [
        ({"agrees", "not run"}, "agrees"),
        ({"agrees", "not decided"}, "not decided"),
        ({"agrees", "not decided", "disagrees"}, "disagrees"),
        ({"not run"}, "not run"),
    ],
)
def test_the_verdict_of_a_claim(given: set[Word], whole: str) -> None:
    assert verdict([Finding("", "", "", word) for word in given]) == whole


def test_the_page_and_figures_that_are_kept_are_those_of_the_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "FIGURES", tmp_path / "figures")
    page.write(CLAIMS, tmp_path / "verdicts.md")
    assert (tmp_path / "verdicts.md").read_text() == page.PAGE.read_text()
    drawn = {file.name for file in (tmp_path / "figures").iterdir()}
    assert drawn == {file.name for file in (records.HERE / "figures").iterdir()}
    for claim in CLAIMS:
        kept = records.HERE / "figures" / f"{claim.name}.png"
        if kept.exists():
            with Image.open(kept) as picture:
                assert picture.info["Description"] == figures.mark(claim), f"{kept.name}: of other records"
