"""A2: redrawing a part of what is pruned beats redrawing all of it; rate 0 is edge-popup."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reproduction.claims.claim import Claim
from reproduction.comparison import Finding, greater
from reproduction.figures import name_axes, points
from reproduction.records import runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RATES = (0.0, 0.01, 0.1, 1.0)


@dataclass(frozen=True)
class Network:
    """A network of one width: the sweep that has rates 0 (edge-popup) and 0.1, and that of the others."""

    title: str
    width: float
    first: str
    others: str

    def accuracies(self, rate: float) -> list[float]:
        """Test accuracies in % with signed constants, by seed."""
        if rate not in (0.0, 0.1):
            return runs(self.others).where(rate=rate).accuracies()
        there = runs(self.first).where(init="signed_constant", width=self.width)
        return there.where(method="iterand" if rate else "edge-popup").accuracies()


NETWORKS = (
    Network("Conv-6, width 0.25", 0.25, "a1-width-0.25", "a2"),
    Network("ResNet-18", 1.0, "gpu-a1-resnet18", "gpu-a2-resnet18"),
)


def findings() -> list[Finding]:
    """Rate 0.1 against rate 1."""
    return [
        greater(f"{each.title}: rate 0.1 is better than rate 1", each.accuracies(0.1), each.accuracies(1.0))
        for each in NETWORKS
    ]


def draw(figure: Figure) -> None:
    """Accuracy against the rate."""
    axes = figure.subplots()
    for number, network in enumerate(NETWORKS):
        values = [network.accuracies(rate) for rate in RATES]
        points(axes, range(len(RATES)), values, network.title, f"C{number}", "-")
    axes.set_xticks(range(len(RATES)), ["0 (edge-popup)", "0.01", "0.1", "1"])
    name_axes(axes, "rate of redraws")


CLAIM = Claim(
    name="a2",
    title="Partial redraws (rate 0.1) beat full ones (rate 1); rate 0 is edge-popup",
    source="Chijiwa et al., NeurIPS 2021",
    sweeps=tuple(sweep for network in NETWORKS for sweep in (network.first, network.others)),
    findings=findings,
    draw=draw,
    note=(
        "That rate 0 finds the very ticket of edge-popup is a test (`tests/reproduction/test_running.py`); "
        "what redraws gain over none is A1."
    ),
    caption="Signed constants; bars: standard deviation over seeds.",
)
