"""B1: Erdős–Rényi sources contain strong tickets."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from reproduction.claims.claim import Claim
from reproduction.comparison import Finding, not_less
from reproduction.figures import density_panels, points
from reproduction.records import Rows, runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RULES = ("uniform", "erk", "pyramidal", "balanced")
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

    def best(self, density: float) -> str:
        """The rule that is best on images held out of training; the first where nothing was run."""

        def held_out(rule: str) -> float:
            return fmean(self.runs(density, rule).values("validation_accuracy") or [0.0])

        return max(RULES, key=held_out)


NETWORKS = (
    Network("Conv-6, width 0.5, 4 epochs", ("b1-0.9-0.7", "b1-0.5-0.3"), (0.9, 0.7, 0.5, 0.3)),
    Network("ResNet-18, 100 epochs", ("gpu-b1-resnet18",), (0.9, 0.7, 0.5, 0.3)),
    Network("VGG-16, 100 epochs", ("gpu-b1-vgg16",), (0.9, 0.7, 0.5, 0.3)),
)


def findings() -> list[Finding]:
    """Tickets of sparse sources against those of the dense one, at equal density of the ticket, where all
    runs that the rule is chosen by have finished.
    """
    found = []
    for network in NETWORKS:
        for density in network.densities:
            rule = network.best(density)
            known = all(network.runs(density, each).complete for each in RULES)
            sparse = network.runs(density, rule).accuracies() if known else []
            dense = network.runs(1.0).accuracies()
            chosen = f" ({rule}, best of four on held-out images)" if sparse else ""
            source = f"{network.title}: a source of density {density:g}{chosen}"
            found.append(not_less(f"{source} holds as good a ticket as a dense one", sparse, dense, MARGIN))
    return found


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
    caption="Tickets of one density (0.15, on a GPU 0.1) by IteRand; bars: standard deviation over seeds.",
)
