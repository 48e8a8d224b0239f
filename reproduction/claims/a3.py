"""A3: with redraws narrower networks suffice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reproduction.claims.claim import Claim
from reproduction.claims.widths import METHODS, SWEEPS, settings
from reproduction.comparison import Finding, not_less
from reproduction.figures import points

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARGIN = 0.5
"""Points by which a narrower network may be worse and still suffice."""


def findings() -> list[Finding]:
    """The narrowest width at which IteRand is as good as edge-popup at the widest of at most 1."""
    found = []
    for network, init in settings():
        *narrower, widest = [width for width in network.widths if width <= 1]
        reached = network.accuracies("edge-popup", init, widest)
        tried = [
            not_less(f"at {width:g}", network.accuracies("iterand", init, width), reached, MARGIN)
            for width in narrower
        ]
        claim = f"{network.title}, {init}: IteRand at a narrower width is as good as edge-popup at {widest:g}"
        found.append(_narrowest(claim, tried))
    return found


def _narrowest(claim: str, tried: list[Finding]) -> Finding:
    """Of widths from the narrowest on: the first that agrees, or else the first that is not decided, or all
    that disagree.
    """
    run = [finding for finding in tried if finding.word != "not run"]
    for word in ("agrees", "not decided"):
        for finding in run:
            if finding.word == word:
                return Finding(claim, f"{finding.statement}: {finding.figures}", finding.test, finding.word)
    if not run:
        return Finding(claim, "", "", "not run")
    shown = "; ".join(f"{finding.statement}: {finding.figures}" for finding in run)
    return Finding(claim, shown, "; ".join(finding.test for finding in run), "disagrees")


def draw(figure: Figure) -> None:
    """Accuracy of both methods against the width."""
    axes = figure.subplots()
    for number, (network, init) in enumerate(settings()):
        widths = network.run_widths()
        for method, title in METHODS.items():
            values = [network.accuracies(method, init, width) for width in widths]
            label = f"{title}, {network.title}, {init}"
            points(axes, widths, values, label, f"C{number}", "-" if method == "iterand" else ":")
    axes.set_xscale("log", base=2)
    axes.set_xlabel("width")
    axes.set_ylabel("test accuracy, %")


CLAIM = Claim(
    name="a3",
    title="With redraws narrower networks suffice",
    source="Chijiwa et al., NeurIPS 2021",
    sweeps=SWEEPS,
    findings=findings,
    draw=draw,
    caption="Bars: standard deviation over seeds.",
)
