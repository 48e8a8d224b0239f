"""The page of verdicts, by records that are made up and by those that are kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image
from record_helpers import noise, pretend

from reproduction import figures, page, records
from reproduction.claims import ALL as CLAIMS
from reproduction.claims import b2, b3
from reproduction.claims.claim import verdict
from reproduction.comparison import Finding, Word


def test_without_records_nothing_was_run(kept: Path, tmp_path: Path) -> None:
    assert {verdict(claim.findings()) for claim in CLAIMS} == {"not run"}
    page.write(CLAIMS, tmp_path / "page.md")
    told = (tmp_path / "page.md").read_text()
    assert told.count("| not run |") == len(CLAIMS)
    assert "png" not in told


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
