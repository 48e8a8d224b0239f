"""A3: with redraws narrower networks suffice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reproduction.claims.claim import Claim
from reproduction.claims.widths import METHODS, SWEEPS, settings
from reproduction.comparison import Finding, not_less
from reproduction.figures import points

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def findings() -> list[Finding]:
    """IteRand at each width against edge-popup at the widest of at most 1."""
    found = []
    for network, init in settings():
        *narrower, widest = [width for width in network.widths if width <= 1]
        reached = network.accuracies("edge-popup", init, widest)
        for width in narrower:
            statement = (
                f"{network.title}, {init}: IteRand at width {width:g} is as good as edge-popup at {widest:g}"
            )
            found.append(not_less(statement, network.accuracies("iterand", init, width), reached, margin=0.5))
    return found


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
    axes.legend(fontsize=8)


CLAIM = Claim(
    name="a3",
    title="With redraws narrower networks suffice",
    source="Chijiwa et al., NeurIPS 2021",
    sweeps=SWEEPS,
    findings=findings,
    draw=draw,
    caption="Bars: standard deviation over seeds.",
)
