"""What the judge makes of records that are made up, and of those that are kept."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from PIL import Image
from record_helpers import pretend

from reproduction import figures, page, records
from reproduction.claims import ALL as CLAIMS
from reproduction.claims import a1, a2, a3, a4, b1, b2, b3, c1, c2
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
    assert [a2.of_rate(("a1-width-0.25", "a2"), rate) for rate in a2.RATES[:2]] == [
        pytest.approx([49.9, 50.0, 50.1]),
        pytest.approx([52.9, 53.0, 53.1]),
    ]
    assert words(found, "ResNet") == {"not run"}


@pytest.mark.parametrize(("less", "word"), [(0.0, "agrees"), (0.02, "disagrees")])
def test_a3_compares_widths(kept: Path, less: float, word: Word) -> None:
    def accuracy(options: dict[str, Any]) -> float:
        narrow = options["width"] == 0.25 and options["method"] == "iterand"
        return noise(options) + 0.6 - (less if narrow else 0)

    for sweep in ("a1-width-0.25", "a1-width-0.5-signed-constant", "a1-width-0.5-kaiming-uniform"):
        pretend(kept, sweep, accuracy)
    assert words(a3.findings(), "30 epochs") == {word}


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
    table = kept / "b1-0.5-0.3" / "results.csv"
    name = '"rule=balanced,source_density=0.3,seed=0"'
    ended, waiting = (f"{name},{state}," for state in ("finished", "waiting"))
    assert ended in table.read_text()
    table.write_text(table.read_text().replace(ended, waiting))  # of a rule that would not be chosen
    assert words(b1.findings(), "Conv-6", "best of four", "0.3 ") == {"not run"}
    assert words(b1.findings(), "Conv-6", "uniform", "0.3 ") == {"disagrees"}
    pretend(kept, "b1-seeds", lambda options: 0.5 + noise({"seed": options["seed"] % 3}))
    assert words(b1.findings(), "Conv-6", "uniform", "0.3 ") == {"agrees"}
    assert "(n = 9) against 50.00 ± 0.09 (n = 9)" in b1.findings()[0].figures


@pytest.mark.parametrize(
    ("state", "error", "word"),
    [
        ("waiting", "", "not run"),
        ("failed", "No space left on device", "not run"),  # the next call tries it again
        ("failed", "the loss became nan in epoch 1", "not decided"),  # 10 %
    ],
)
def test_a_group_is_judged_once_all_its_runs_have_ended(
    kept: Path, state: str, error: str, word: Word
) -> None:
    pretend(kept, "b3-rigl", lambda options: 0.7 + noise(options))
    assert words(b3.findings(), "Conv-6", "RigL", "0.2") == {"agrees"}
    table = kept / "b3-rigl" / "results.csv"
    name = '"density=0.2,epochs=10,method=rigl,rule=erk,source_density=0.5,ticket_rule=erk,seed=0"'
    (line,) = [line for line in table.read_text().splitlines() if line.startswith(f"{name},finished,")]
    told = line.replace(",finished,", f",{state},") + error
    table.write_text(table.read_text().replace(line, told))
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
    table = kept / "c1" / "results.csv"
    whole = table.read_text()

    def tests_where(run: str, state: str, error: str = "") -> list[str]:
        (line,) = [line for line in whole.splitlines() if line.startswith(f'"{run}",finished,')]
        assert line.endswith(",")  # no error
        changed = line.replace(",finished,", f",{state},") + error
        table.write_text(whole.replace(line, changed))
        return [each.test for each in c1.findings() if each.test]

    waiting = tests_where("lr=0.01,width=0.0625,seed=0", "waiting")
    assert waiting and not any("width 0.0625" in test for test in waiting)
    without_disk = tests_where("lr=0.03,width=0.0625,seed=0", "failed", "No space left on device")
    assert without_disk == waiting  # the next call tries it again
    diverged = tests_where("lr=0.03,width=0.0625,seed=0", "failed", "the loss became nan in epoch 1")
    assert diverged and all("with width 0.0625 and learning rate 0.01 in" in test for test in diverged)


def test_c2_asks_for_a_better_ticket_of_no_more_bytes(kept: Path) -> None:
    def accuracy(options: dict[str, Any]) -> float:
        return (0.75 if options["method"] == "signed-supermask" else 0.8) + noise(options)

    pretend(kept, "a1-width-0.25", lambda options: 0.7 + noise(options))  # tickets of 25,000 bytes
    assert words(c2.findings()) == {"not run"}
    pretend(kept, "c2", accuracy)
    assert words(c2.findings(), "as in the paper") == {"agrees"}
    assert words(c2.findings(), "supermasks' learning rate") == {"disagrees"}
    shutil.rmtree(kept / "c2")
    pretend(kept, "c2", accuracy, nbytes=400_100)  # 25,006
    assert words(c2.findings(), "as in the paper") == {"not decided"}
    assert words(c2.findings(), "supermasks' learning rate") == {"disagrees"}  # worse, and larger


def test_c2_is_decided_by_other_seeds_once_all_of_them_have_ended(kept: Path) -> None:
    def accuracy(options: dict[str, Any]) -> float:
        better = (options["method"] == "signed-supermask") == (options["seed"] > 2)
        return (0.75 if better else 0.7) + noise({"seed": options["seed"] % 3})

    pretend(kept, "c2", accuracy)
    assert words(c2.findings(), "supermasks' learning rate") == {"disagrees"}
    pretend(kept, "c2-seeds", accuracy)
    assert words(c2.findings(), "supermasks' learning rate") == {"agrees"}
    assert "(n = 9) against 70.00" in c2.findings()[1].figures
    table = kept / "c2-seeds" / "results.csv"
    table.write_text(table.read_text().replace(",finished,", ",waiting,", 1))
    assert words(c2.findings(), "supermasks' learning rate") == {"disagrees"}


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
