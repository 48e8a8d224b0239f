"""C2, ours: on the same budget, signed supermasks answer better than tickets of IteRand of as many bytes."""

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

PAPER, SWEEP, SEEDS = "a1-width-0.25", "c2", "c2-seeds"
SIGNED = "signed supermask, density 0.9"


def supermasks(sweep: str = SWEEP) -> Rows:
    """The runs of signed supermasks."""
    return runs(sweep).where(method="signed-supermask")


def tuned() -> str:
    """The sweep that decides between supermasks and IteRand with their learning rate and scores: that of the
    nine other seeds once it has ended.
    """
    return SEEDS if runs(SEEDS).ended else SWEEP


def baselines() -> dict[str, tuple[str, Rows]]:
    """The runs of IteRand that they are compared with, and the sweep of these, by what to call them."""
    return {
        "IteRand as in the paper": (PAPER, runs(PAPER).where(method="iterand", init="signed_constant")),
        "IteRand with the supermasks' learning rate and scores": (
            tuned(),
            runs(tuned()).where(method="iterand"),
        ),
    }


def findings() -> list[Finding]:
    """Signed supermasks against either, those of the same sweep where it has both."""
    return [
        _against(title, supermasks(SWEEP if sweep == PAPER else sweep), rows)
        for title, (sweep, rows) in baselines().items()
    ]


def _against(title: str, ours: Rows, others: Rows) -> Finding:
    """Better, and in no more bytes: what is better in more bytes decides nothing."""
    statement = f"{SIGNED}, is better than {title}, in no more bytes"
    found = greater(statement, ours.accuracies(), others.accuracies())
    if found.word == "not run":
        return found
    here, there = (fmean(rows.values("ticket_bytes")) for rows in (ours, others))
    figures = f"{found.figures}; {here:,.0f} against {there:,.0f} bytes"
    larger = here > there and found.word == "agrees"
    return replace(found, figures=figures, word="not decided" if larger else found.word)


def draw(figure: Figure) -> None:
    """Accuracy against bytes, and validation accuracy over the epochs."""
    sizes, course = figure.subplots(1, 2)
    groups = {SIGNED: (tuned(), supermasks(tuned())), **baselines()}
    for number, (label, (sweep, rows)) in enumerate(groups.items()):
        if rows.accuracies():
            colour, nbytes = f"C{number}", fmean(rows.values("ticket_bytes"))
            points(sizes, [nbytes], [rows.accuracies()], label, colour, "none")
            against_epochs(course, curves(sweep), [row["run"] for row in rows.rows], label, colour, "-")
    sizes.set_xlabel("bytes of the ticket")
    sizes.set_ylabel("test accuracy, %")
    course.set_xlabel("epoch")
    course.set_ylabel("validation accuracy, %")


CLAIM = Claim(
    name="c2",
    title="On the same budget, signed supermasks answer better than tickets of IteRand of as many bytes",
    source="ours",
    sweeps=(SWEEP, SEEDS, PAPER),
    findings=findings,
    draw=draw,
    caption="Conv-6 of width 0.25, signed constants, 30 epochs; bands, bars: standard deviation over seeds.",
)
