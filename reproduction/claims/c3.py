"""C3, ours, the mark to aim at: a strong ticket of ResNet-18 nearly as good as the trained one, in 2 MB."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

from reproduction.claims.claim import Claim
from reproduction.comparison import Finding, not_less
from reproduction.figures import name_axes, points
from reproduction.records import Rows, best, runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRAINED, TICKETS = "gpu-c3-trained", "gpu-c3-tickets"
MARGIN = 1.0
"""Points that the ticket may cost."""
MOST_BYTES = 2_000_000
_VARIED = ("method", "density", "lr")


def tickets() -> dict[tuple[str, ...], Rows]:
    """The searches' runs, by method, density and learning rate."""
    found: dict[tuple[str, ...], Rows] = {}
    for row in runs(TICKETS).rows:
        setting = tuple(row[option] for option in _VARIED)
        found[setting] = found.get(setting, Rows(())) + Rows((row,))
    return found


def small() -> Rows:
    """Those of the best setting whose tickets have at most 2 MB; none before all have ended."""
    if not runs(TICKETS).ended:
        return Rows(())
    settings = {
        setting: rows
        for setting, rows in tickets().items()
        if rows.begun and max(rows.values("ticket_bytes")) <= MOST_BYTES
    }
    chosen = best(settings)
    return Rows(()) if chosen is None else settings[chosen]


def findings() -> list[Finding]:
    """The best small ticket against the trained network."""
    chosen = small()
    shown = ", ".join(chosen.rows[0][option] for option in _VARIED) if chosen.rows else "best setting"
    statement = f"A ticket of ResNet-18 in at most 2 MB ({shown}) is as good as ResNet-18 trained"
    return [not_less(statement, chosen.accuracies(), runs(TRAINED).accuracies(), MARGIN)]


def draw(figure: Figure) -> None:
    """Accuracy against bytes."""
    axes = figure.subplots()
    groups = {"trained": (runs(TRAINED), "model_bytes")}
    groups |= {", ".join(setting): (rows, "ticket_bytes") for setting, rows in tickets().items()}
    for number, (label, (rows, nbytes)) in enumerate(groups.items()):
        if rows.begun:
            points(axes, [fmean(rows.values(nbytes))], [rows.accuracies()], label, f"C{number}", "none")
    axes.axvline(MOST_BYTES, color="gray", linestyle=":")
    axes.set_xscale("log")
    name_axes(axes, "bytes of the file")


CLAIM = Claim(
    name="c3",
    title="A strong ticket of ResNet-18 is within a point of the trained network, in at most 2 MB",
    source="ours, a mark to aim at",
    sweeps=(TICKETS, TRAINED),
    findings=findings,
    draw=draw,
    note=(
        "The setting is the best by images held out of training, of those that are small enough, by the very "
        "runs that are compared, which flatters it; the trained network has one setting."
    ),
    caption="100 epochs; bars: standard deviation over seeds.",
)
