"""A1: IteRand beats edge-popup at equal parameters, the more so the narrower the network."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from reproduction.claims.claim import Claim
from reproduction.claims.widths import INITS, METHODS, NETWORKS, SWEEPS, all_run_widths, settings
from reproduction.comparison import Finding, greater, more
from reproduction.figures import against_epochs, name_axes, on_log_scale, points
from reproduction.records import curves

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def findings() -> list[Finding]:
    """IteRand against edge-popup at every width, and the difference at each width against the next."""
    found = []
    for network, init in settings():
        gains: dict[float, tuple[list[float], list[float]]] = {}
        for width in network.widths:
            iterand, edge_popup = (network.accuracies(method, init, width) for method in METHODS)
            statement = f"{network.title}, width {width:g}, {init}: IteRand is better"
            found.append(greater(statement, iterand, edge_popup))
            gains[width] = iterand, edge_popup
        for narrow, wide in pairwise(network.widths):
            statement = f"{network.title}, {init}: the gain at width {narrow:g} is greater than at {wide:g}"
            found.append(more(statement, gains[narrow], gains[wide]))
    return found


def draw(figure: Figure) -> None:
    """Accuracy over epochs of the narrowest network, and against the width."""
    left, right = figure.subplots(1, 2)
    colours = {"iterand": "C0", "edge-popup": "C1"}
    styles = dict(zip(INITS, ("-", "--"), strict=True))
    told = curves("a1-width-0.25", "a1-seeds")
    for method, title in METHODS.items():
        for init in INITS:
            names = {row["run"] for row in NETWORKS[0].group(method, init, 0.25).rows}
            label = f"{title}, {init}"
            against_epochs(left, told, names, label, colours[method], styles[init])
            for network, marker in zip(NETWORKS, "os^", strict=True):
                widths = network.run_widths()
                values = [network.accuracies(method, init, width) for width in widths]
                name = label if network is NETWORKS[0] else f"{label}, {network.title}"
                points(right, widths, values, name, colours[method], styles[init], marker)
    left.set_title("Conv-6 of width 0.25", fontsize=11)
    name_axes(left, "epoch", "validation accuracy, %")
    on_log_scale(right, all_run_widths())
    name_axes(right, "width")
    right.set_title("Test accuracy against width", fontsize=11)


CLAIM = Claim(
    name="a1",
    title="IteRand beats edge-popup at equal parameters, the more so the narrower the network",
    source="Chijiwa et al., NeurIPS 2021 (there 88.8 % with Conv-6 and 92.5 % with ResNet-18, second-hand)",
    sweeps=SWEEPS,
    findings=findings,
    draw=draw,
    caption="Bands and bars: standard deviation over seeds.",
)
