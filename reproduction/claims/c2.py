"""C2, ours: on the same budget, other settings than the paper's find better tickets of no more bytes."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING

from reproduction.claims.claim import Claim
from reproduction.comparison import Finding, greater
from reproduction.figures import against_epochs, points
from reproduction.records import Rows, curves, runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAPER, SWEEP = "a1-width-0.25", "c2"
TRIED = {
    "edge-popup": "edge-popup, learning rate 1, density 0.5",
    "iterand": "IteRand, learning rate 1, density 0.45",
}


def of_paper(method: str) -> Rows:
    """Runs of a method with the paper's settings."""
    return runs(PAPER).where(method=method, init="signed_constant")


def findings() -> list[Finding]:
    """Each of our settings against IteRand with the paper's."""
    return [_against_paper(title, runs(SWEEP).where(method=method)) for method, title in TRIED.items()]


def _against_paper(title: str, ours: Rows) -> Finding:
    """Better and no larger; what is larger is not compared."""
    paper = of_paper("iterand")
    found = greater(f"{title}, is better than IteRand as in the paper", ours.accuracies(), paper.accuracies())
    if found.word == "not run":
        return found
    here, there = (fmean(each.values("ticket_bytes")) for each in (ours, paper))
    figures = f"{found.figures}; {here:,.0f} against {there:,.0f} bytes"
    return replace(found, figures=figures, word=found.word if here <= there else "not decided")


def draw(figure: Figure) -> None:
    """Accuracy against bytes, and validation accuracy over the epochs."""
    sizes, course = figure.subplots(1, 2)
    groups = {
        "edge-popup, the paper's settings": (PAPER, of_paper("edge-popup"), "C1", "--"),
        "IteRand, the paper's settings": (PAPER, of_paper("iterand"), "C0", "--"),
        **{
            title: (SWEEP, runs(SWEEP).where(method=method), f"C{number}", "-")
            for number, (method, title) in zip((1, 0), TRIED.items(), strict=True)
        },
    }
    for label, (sweep, rows, colour, style) in groups.items():
        if not rows.accuracies():
            continue
        marker = "s" if sweep == PAPER else "o"
        points(
            sizes, [fmean(rows.values("ticket_bytes"))], [rows.accuracies()], label, colour, "none", marker
        )
        against_epochs(course, curves(sweep), [row["run"] for row in rows.rows], label, colour, style)
    sizes.set_xlabel("bytes of the ticket")
    sizes.set_ylabel("test accuracy, %")
    course.set_xlabel("epoch")
    course.set_ylabel("validation accuracy, %")


CLAIM = Claim(
    name="c2",
    title="On the same budget, settings other than the paper's find better tickets of no more bytes",
    source="ours",
    sweeps=(SWEEP, PAPER),
    findings=findings,
    draw=draw,
    caption="Conv-6 of width 0.25, 30 epochs; bands and bars: standard deviation over seeds.",
)
