"""B1: Erdős–Rényi sources contain strong tickets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reproduction.claims.claim import Claim
from reproduction.comparison import Finding, not_less
from reproduction.figures import density_panels, points
from reproduction.records import Rows, best, deciding, runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RULES = ("uniform", "erk", "pyramidal", "balanced")
MARGIN = 1.0
"""Points that a sparse source may cost."""


@dataclass(frozen=True)
class Network:
    """A network, its sweeps, and the densities of its sources, greatest first; `seeds`: a sweep of other
    seeds, of the dense source, uniform ones, and the best.
    """

    title: str
    sweeps: tuple[str, ...]
    densities: tuple[float, ...]
    seeds: str | None = None

    def accuracies(self, density: float, rule: str = "", *, other_seeds: bool = False) -> list[float]:
        """Test accuracies in % in sources of that density, by seed. The dense source has no rule."""
        names = filter(None, [self.seeds]) if other_seeds else self.sweeps
        return _of(runs(*names), density, rule).accuracies()

    def decided(self, density: float, rule: str | None) -> tuple[list[float], list[float]]:
        """Those under that rule and in the dense source, by the seeds that decide."""
        there = deciding(self.seeds, *self.sweeps)
        return _of(there, density, rule).accuracies() if rule else [], _of(there, 1.0).accuracies()

    def best(self, density: float) -> str | None:
        """The rule that is best with the first seeds; None before all runs of all rules have ended."""
        first = runs(*self.sweeps)
        return best({rule: _of(first, density, rule) for rule in RULES})


def _of(there: Rows, density: float, rule: str = "") -> Rows:
    found = there.where(source_density=density)
    return found.where(rule=rule) if density < 1 else found


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
            chosen = network.best(density)
            shown = f"the best of four sources{f' ({chosen})' if chosen else ''}"
            sources = {"a uniform source": "uniform", shown: chosen}
            if chosen == "uniform":
                sources = {"a uniform source (the best of four)": chosen}
            for source, rule in sources.items():
                ticket = f"{network.title}: IteRand finds as good a ticket in {source} of density {density:g}"
                pair = network.decided(density, rule)
                found.append(not_less(f"{ticket} as in the dense one", *pair, MARGIN))
    return found


def draw(figure: Figure) -> None:
    """Accuracy against the density of the source, a panel for each network that was run."""
    there = [network for network in NETWORKS if network.accuracies(1.0)]
    panels = density_panels(figure, [network.title for network in there], "density of the source")
    for network, axes in zip(there, panels, strict=True):
        for others, seeds, style, marker in ((False, "", "-", "o"), (True, ", other seeds", "--", "s")):
            dense = network.accuracies(1.0, other_seeds=others)
            points(axes, [1.0], [dense], f"dense{seeds}", "black", "none", marker, 5 * others)
            for number, rule in enumerate(RULES):
                values = [network.accuracies(each, rule, other_seeds=others) for each in network.densities]
                label, aside = f"{rule}{seeds}", 10 * (number - 1.5) + 5 * others
                points(axes, network.densities, values, label, f"C{number}", style, marker, aside)


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
        "densities than in the dense source. The best of four is taken on images held out of training; where "
        "no other seeds were run, by the very runs that are compared, which flatters it. Conv-6's learning "
        "rate was chosen with the dense source."
    ),
    caption=(
        "Tickets of one density (Conv-6: 0.15, with fan scaling; others: 0.1, without) by IteRand; bars: "
        "standard deviation over seeds, drawn beside each other where they would overlap."
    ),
)
