"""B3: sparse training that starts from an Erdős–Rényi source costs no accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reproduction.claims.claim import Claim
from reproduction.comparison import Finding, not_less
from reproduction.figures import density_panels, points
from reproduction.records import runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARGIN = 1.0
"""Points that starting sparse may cost."""
METHODS = {"rigl": "RigL", "imp": "IMP"}
DENSITIES = (0.2, 0.05)


@dataclass(frozen=True)
class Network:
    """A network, and for each method its sweep and for how long it trains."""

    title: str
    sweeps: dict[str, str]
    epochs: dict[str, str]

    def accuracies(self, method: str, density: float, source: float) -> list[float]:
        """Test accuracies in %, by seed."""
        there = runs(self.sweeps[method])
        return there.where(method=method, density=density, source_density=source).accuracies()

    def named(self, method: str) -> str:
        """The method, with how long it trains."""
        return f"{METHODS[method]} ({self.epochs[method]})"


NETWORKS = (
    Network(
        "Conv-6, width 0.5",
        {"rigl": "b3-rigl", "imp": "b3-imp"},
        {"rigl": "10 epochs", "imp": "6 × 2 epochs"},
    ),
    Network(
        "ResNet-18",
        dict.fromkeys(METHODS, "gpu-b3-resnet18"),
        {"rigl": "100 epochs", "imp": "6 × 20 epochs"},
    ),
)
SWEEPS = tuple(dict.fromkeys(sweep for network in NETWORKS for sweep in network.sweeps.values()))


def findings() -> list[Finding]:
    """Each method from a source of density 0.5 against the same from the dense network."""
    return [
        not_less(
            f"{network.title}: {network.named(method)} to density {density:g} does as well from a source "
            "of density 0.5",
            network.accuracies(method, density, 0.5),
            network.accuracies(method, density, 1.0),
            MARGIN,
        )
        for network in NETWORKS
        for method in METHODS
        for density in DENSITIES
    ]


def draw(figure: Figure) -> None:
    """Accuracy against the density that is reached, from both starts, a panel for each network."""
    there = [network for network in NETWORKS if runs(*network.sweeps.values()).rows]
    panels = density_panels(figure, [network.title for network in there], "density reached")
    for network, axes in zip(there, panels, strict=True):
        for number, method in enumerate(METHODS):
            for source, name, style in ((1.0, "from dense", "-"), (0.5, "from ER 0.5", "--")):
                values = [network.accuracies(method, density, source) for density in DENSITIES]
                points(axes, DENSITIES, values, f"{network.named(method)}, {name}", f"C{number}", style)
        axes.set_xscale("log")


CLAIM = Claim(
    name="b3",
    title="Sparse training costs no accuracy by starting from an Erdős–Rényi source of moderate density",
    source="Gadhikar et al., ICML 2023",
    sweeps=SWEEPS,
    findings=findings,
    draw=draw,
    note=(
        "Fan scaling goes by the densities that training starts with. Those of RigL are the same from both "
        "sources; those of IMP are not, so that it has weights on another scale left at the end: up to 2.5 "
        "times as large, layer by layer, from the sparse source."
    ),
    caption="Bars: standard deviation over seeds.",
)
