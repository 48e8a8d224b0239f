"""A2: redrawing a part of what is pruned beats redrawing all of it; rate 0 is edge-popup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reproduction.claims.claim import Claim
from reproduction.comparison import Finding, greater
from reproduction.figures import points
from reproduction.records import Rows, runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RATES = (0.0, 0.01, 0.1, 1.0)
# Network, the sweep that has rates 0 (edge-popup) and 0.1, where among its runs, the sweep of the others.
NETWORKS = (
    ("Conv-6, width 0.25", "a1-width-0.25", "a2"),
    ("ResNet-18", "gpu-a1-resnet18", "gpu-a2-resnet18"),
)


def of_rate(pair: tuple[str, str], rate: float) -> list[float]:
    """Test accuracies in %, by seed, with signed constants of the width that both sweeps have."""
    first, others = map(runs, pair)
    if rate not in (0.0, 0.1):
        return others.where(rate=rate).accuracies()
    width = 0.25 if pair[1] == "a2" else 1.0
    both: Rows = first.where(init="signed_constant", width=width)
    return (both.where(method="iterand", rate=rate) if rate else both.where(method="edge-popup")).accuracies()


def findings() -> list[Finding]:
    """Rate 0.1 against rate 1."""
    found = []
    for title, *pair in NETWORKS:
        sweeps = pair[0], pair[1]
        statement = f"{title}: rate 0.1 is better than rate 1"
        found.append(greater(statement, of_rate(sweeps, 0.1), of_rate(sweeps, 1.0)))
    return found


def draw(figure: Figure) -> None:
    """Accuracy against the rate."""
    axes = figure.subplots()
    for number, (title, *pair) in enumerate(NETWORKS):
        values = [of_rate((pair[0], pair[1]), rate) for rate in RATES]
        there = [place for place, each in enumerate(values) if each]
        points(axes, [float(p) for p in there], [values[p] for p in there], title, f"C{number}", "-")
    axes.set_xticks(range(len(RATES)), ["0 (edge-popup)", "0.01", "0.1", "1"])
    axes.set_xlabel("rate of redraws")
    axes.set_ylabel("test accuracy, %")


CLAIM = Claim(
    name="a2",
    title="Partial redraws (rate 0.1) beat full ones (rate 1); rate 0 is edge-popup",
    source="Chijiwa et al., NeurIPS 2021",
    sweeps=("a1-width-0.25", "a2", "gpu-a1-resnet18", "gpu-a2-resnet18"),
    findings=findings,
    draw=draw,
    note=(
        "That rate 0 finds the very ticket of edge-popup is a test (`tests/reproduction/test_running.py`); "
        "what redraws gain over none is A1."
    ),
    caption="Signed constants; bars: standard deviation over seeds.",
)
