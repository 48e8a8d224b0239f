"""B3: sparse training that starts from an Erdős–Rényi source costs no accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reproduction.claims.claim import Claim
from reproduction.comparison import Finding, not_less
from reproduction.figures import density_panels, on_log_scale, points
from reproduction.records import runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARGIN = 1.0
"""Points that starting sparse may cost."""
METHODS = {"rigl": "RigL", "imp": "IMP"}
DENSITIES = (0.2, 0.05)


@dataclass(frozen=True)
class Network:
    """A network, and for each method its sweep and for how long it trains; `uniform`: the sweep of IMP from a
    uniformly sparse source.
    """

    title: str
    sweeps: dict[str, str]
    epochs: dict[str, str]
    uniform: str | None = None

    def starts(self, method: str) -> dict[str, str]:
        """The sweeps of the method from the sparse source, by how to call that."""
        erk = {"an ERK source of density 0.5": self.sweeps[method]}
        return {**erk, "a uniform one": self.uniform} if method == "imp" and self.uniform else erk

    def dense(self, method: str, density: float) -> list[float]:
        """Test accuracies in % from the dense network, by seed."""
        return _accuracies(self.sweeps[method], method, density, 1.0)

    def named(self, method: str) -> str:
        """The method, with how long it trains."""
        return f"{METHODS[method]} ({self.epochs[method]})"


def _accuracies(sweep: str, method: str, density: float, source: float) -> list[float]:
    return runs(sweep).where(method=method, density=density, source_density=source).accuracies()


NETWORKS = (
    Network(
        "Conv-6, width 0.5",
        {"rigl": "b3-rigl", "imp": "b3-imp"},
        {"rigl": "10 epochs", "imp": "6 × 2 epochs"},
        "b3-imp-uniform",
    ),
    Network(
        "ResNet-18",
        dict.fromkeys(METHODS, "gpu-b3-resnet18"),
        {"rigl": "100 epochs", "imp": "6 × 20 epochs"},
    ),
)
SWEEPS = tuple(
    dict.fromkeys(
        sweep for network in NETWORKS for method in METHODS for sweep in network.starts(method).values()
    )
)


def findings() -> list[Finding]:
    """Each method from a source of density 0.5 against the same from the dense network."""
    return [
        not_less(
            f"{network.title}: {network.named(method)} to density {density:g} does as well from {start}",
            _accuracies(sweep, method, density, 0.5),
            network.dense(method, density),
            MARGIN,
        )
        for network in NETWORKS
        for method in METHODS
        for start, sweep in network.starts(method).items()
        for density in DENSITIES
    ]


def draw(figure: Figure) -> None:
    """Accuracy against the density that is reached, from both starts, a panel for each network."""
    there = [network for network in NETWORKS if runs(*network.sweeps.values()).rows]
    panels = density_panels(figure, [network.title for network in there], "density reached")
    for network, axes in zip(there, panels, strict=True):
        for number, method in enumerate(METHODS):
            label, colour = network.named(method), f"C{number}"
            dense = [network.dense(method, density) for density in DENSITIES]
            points(axes, DENSITIES, dense, f"{label}, from dense", colour, "-")
            for (start, sweep), style in zip(network.starts(method).items(), ("--", ":"), strict=False):
                values = [_accuracies(sweep, method, density, 0.5) for density in DENSITIES]
                points(axes, DENSITIES, values, f"{label}, from {start}", colour, style)
        on_log_scale(axes, DENSITIES)


CLAIM = Claim(
    name="b3",
    title="Sparse training costs no accuracy by starting from an Erdős–Rényi source of moderate density",
    source="Gadhikar et al., ICML 2023",
    sweeps=SWEEPS,
    findings=findings,
    draw=draw,
    note=(
        "RigL ends at the same layerwise densities from both sources, by which its weights are scaled. IMP "
        "ends at those that it finds, by one threshold for all layers; an ERK source limits them, and has "
        "the weights of some layers up to 2.5 times as large. A uniform one, without scaling, has half of "
        "the dense network's own weights."
    ),
    caption="Bars: standard deviation over seeds.",
)
