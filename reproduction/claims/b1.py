"""B1: Erdős–Rényi sources contain strong tickets."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from reproduction.claims.claim import Claim
from reproduction.comparison import Finding, not_less
from reproduction.figures import density_panels, points
from reproduction.records import Rows, deciding, runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RULES = ("uniform", "erk", "pyramidal", "balanced")
MARGIN = 1.0
"""Points that a sparse source may cost."""


@dataclass(frozen=True)
class Network:
    """A network, its sweeps, and the densities of its sources, greatest first; `seeds`: a sweep of others,
    of the dense source and uniform ones.
    """

    title: str
    sweeps: tuple[str, ...]
    densities: tuple[float, ...]
    seeds: str | None = None

    def runs(self, density: float, rule: str = "") -> Rows:
        """The runs in sources of that density. The dense source has no rule."""
        there = runs(*self.sweeps).where(source_density=density)
        return there.where(rule=rule) if density < 1 else there

    def uniform(self, density: float) -> tuple[list[float], list[float]]:
        """Test accuracies in % with the uniform source of that density, and with the dense one: of the other
        seeds once all have ended.
        """
        there = runs(*deciding(self.seeds, *self.sweeps))
        sparse = there.where(source_density=density, rule="uniform")
        return sparse.accuracies(), there.where(source_density=1.0).accuracies()

    def best(self, density: float) -> str | None:
        """The rule that is best on images held out of training; None before all runs of all have finished."""
        groups = {rule: self.runs(density, rule) for rule in RULES}
        if not all(group.complete for group in groups.values()):
            return None
        return max(RULES, key=lambda rule: fmean(groups[rule].values("validation_accuracy")))


NETWORKS = (
    Network("Conv-6, width 0.5, 4 epochs", ("b1-0.9-0.7", "b1-0.5-0.3"), (0.9, 0.7, 0.5, 0.3), "b1-seeds"),
    Network("ResNet-18, 100 epochs", ("gpu-b1-resnet18",), (0.9, 0.7, 0.5, 0.3)),
    Network("VGG-16, 100 epochs", ("gpu-b1-vgg16",), (0.9, 0.7, 0.5, 0.3)),
)


def findings() -> list[Finding]:
    """Tickets of sparse sources, uniform ones and those of the best rule, against those of the dense one."""
    found = []
    for network in NETWORKS:
        for density in network.densities:
            best = network.best(density)
            chosen = network.runs(density, best).accuracies() if best else []
            sources = {
                "a uniform source": network.uniform(density),
                f"the best of four sources{f' ({best})' if best else ''}": (
                    chosen,
                    network.runs(1.0).accuracies(),
                ),
            }
            for source, pair in sources.items():
                ticket = f"{network.title}: IteRand finds as good a ticket in {source} of density {density:g}"
                found.append(not_less(f"{ticket} as in the dense one", *pair, MARGIN))
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
    sweeps=tuple(
        sweep for network in NETWORKS for sweep in (*network.sweeps, *filter(None, [network.seeds]))
    ),
    findings=findings,
    draw=draw,
    note=(
        "A search that finds none does not show that there is none. Where the source is uniform it is all "
        "that differs; under another rule a ticket, which thins its source evenly, has other layerwise "
        "densities than in the dense source. The best of four is taken on images held out of training, but"
        " by the very runs that are compared, which flatters it. Conv-6's learning rate was chosen with "
        "the dense source."
    ),
    caption=(
        "Tickets of one density (Conv-6: 0.15, with fan scaling; others: 0.1, without) by IteRand; bars: "
        "standard deviation over seeds."
    ),
)
