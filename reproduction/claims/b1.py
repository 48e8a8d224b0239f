"""B1: Erdős–Rényi sources contain strong tickets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reproduction.claims.claim import Claim
from reproduction.comparison import Finding, not_less
from reproduction.figures import density_panels, points
from reproduction.records import Rows, runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RULES = ("uniform", "erk", "pyramidal", "balanced")
DECIDES = "uniform"
"""The rule under which a ticket has the densities, layer by layer, that it has in the dense source."""
MARGIN = 1.0
"""Points that a sparse source may cost."""


@dataclass(frozen=True)
class Network:
    """A network, its sweeps, and the densities of its sources, greatest first."""

    title: str
    sweeps: tuple[str, ...]
    densities: tuple[float, ...]

    def runs(self, density: float, rule: str = "") -> Rows:
        """The runs in sources of that density. The dense source has no rule."""
        there = runs(*self.sweeps).where(source_density=density)
        return there.where(rule=rule) if density < 1 else there


NETWORKS = (
    Network("Conv-6, width 0.5, 4 epochs", ("b1-0.9-0.7", "b1-0.5-0.3"), (0.9, 0.7, 0.5, 0.3)),
    Network("ResNet-18, 100 epochs", ("gpu-b1-resnet18",), (0.9, 0.7, 0.5, 0.3)),
    Network("VGG-16, 100 epochs", ("gpu-b1-vgg16",), (0.9, 0.7, 0.5, 0.3)),
)


def findings() -> list[Finding]:
    """Tickets of uniformly sparse sources against those of the dense one, at equal densities."""
    return [
        not_less(
            f"{network.title}: a source of density {density:g} holds as good a ticket as a dense one",
            network.runs(density, DECIDES).accuracies(),
            network.runs(1.0).accuracies(),
            MARGIN,
        )
        for network in NETWORKS
        for density in network.densities
    ]


def draw(figure: Figure) -> None:
    """Accuracy against the density of the source, a panel for each network that was run."""
    there = [network for network in NETWORKS if network.runs(1.0).accuracies()]
    panels = density_panels(figure, [network.title for network in there], "density of the source")
    for network, axes in zip(there, panels, strict=True):
        for number, rule in enumerate(RULES):
            densities = [1.0, *network.densities]
            values = [network.runs(density, rule).accuracies() for density in densities]
            points(axes, densities, values, rule, f"C{number}", "-")


CLAIM = Claim(
    name="b1",
    title="Erdős–Rényi sources contain strong tickets",
    source="Gadhikar et al., ICML 2023",
    sweeps=tuple(sweep for network in NETWORKS for sweep in network.sweeps),
    findings=findings,
    draw=draw,
    note=(
        "The uniform rule decides: all that differs then is the source. Under the others a ticket, which "
        "thins its source evenly, has other layerwise densities, too."
    ),
    caption=(
        "Tickets of one density (Conv-6: 0.15, with fan scaling; others: 0.1, without) by IteRand; bars: "
        "standard deviation over seeds."
    ),
)
