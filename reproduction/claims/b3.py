"""B3: sparse training that is confined to an Erdős–Rényi source costs no accuracy."""

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
"""Points that the source may cost."""
DENSITIES = (0.2, 0.05)


@dataclass(frozen=True)
class Training:
    """A method under one of the sources: the sweep of its runs, what to call it, where it may be, and how
    that is drawn.
    """

    sweep: str
    method: str
    title: str
    source: float
    where: str
    style: str = "--"

    def accuracies(self, density: float) -> list[float]:
        """Test accuracies in % of the networks that end at this density, by seed."""
        return (
            runs(self.sweep)
            .where(method=self.method, density=density, source_density=self.source)
            .accuracies()
        )


@dataclass(frozen=True)
class Confined:
    """A method within a sparse source, and without."""

    sparse: Training
    dense: Training

    @classmethod
    def rigl(cls, sweep: str, epochs: int) -> Confined:
        """RigL, whose masks have the same layerwise densities from first to last in both."""
        title = f"RigL ({epochs} epochs)"
        within = Training(sweep, "rigl", title, 0.5, "growing within an ERK source of density 0.5")
        return cls(within, Training(sweep, "rigl", title, 1.0, "growing anywhere", "-"))

    @classmethod
    def imp(cls, sweep: str, epochs: int, dense_sweep: str, source: str, style: str = "--") -> Confined:
        """IMP with five rounds."""
        title = f"IMP (6 × {epochs} epochs)"
        within = Training(sweep, "imp", title, 0.5, f"from {source} source of density 0.5", style)
        return cls(within, Training(dense_sweep, "imp", title, 1.0, "from the dense network", "-"))


NETWORKS = {
    "Conv-6, width 0.5": (
        Confined.rigl("b3-rigl", 10),
        Confined.imp("b3-imp", 2, "b3-imp", "an ERK"),
        Confined.imp("b3-imp-uniform", 2, "b3-imp", "a uniform", ":"),
    ),
    "ResNet-18": (
        Confined.rigl("gpu-b3-resnet18", 100),
        Confined.imp("gpu-b3-resnet18", 20, "gpu-b3-resnet18", "an ERK"),
    ),
}


def findings() -> list[Finding]:
    """Each method within a source of density 0.5 against the same without."""
    return [
        not_less(
            f"{network}: {each.sparse.title} to density {density:g} does as well {each.sparse.where} as "
            f"{each.dense.where}",
            each.sparse.accuracies(density),
            each.dense.accuracies(density),
            MARGIN,
        )
        for network, trainings in NETWORKS.items()
        for each in trainings
        for density in DENSITIES
    ]


def draw(figure: Figure) -> None:
    """Accuracy against the density that is reached, a panel for each network of which anything was run."""
    there = {
        network: trainings
        for network, trainings in NETWORKS.items()
        if runs(*(each.sparse.sweep for each in trainings)).rows
    }
    panels = density_panels(figure, list(there), "density reached")
    for axes, trainings in zip(panels, there.values(), strict=True):
        lines = dict.fromkeys(one for each in trainings for one in (each.dense, each.sparse))
        for number, one in enumerate(lines):
            colour = "C0" if one.method == "rigl" else "C1"
            values = [one.accuracies(density) for density in DENSITIES]
            label, aside = f"{one.title} {one.where}", 6 * (number - 2)
            points(axes, DENSITIES, values, label, colour, one.style, aside=aside)
        on_log_scale(axes, DENSITIES)


CLAIM = Claim(
    name="b3",
    title="Sparse training costs no accuracy by being confined to an Erdős–Rényi source of moderate density",
    source="Gadhikar et al., ICML 2023",
    sweeps=tuple(dict.fromkeys(each.sparse.sweep for trainings in NETWORKS.values() for each in trainings)),
    findings=findings,
    draw=draw,
    note=(
        "RigL begins at the density that it reaches, with the same layerwise densities in both cases. IMP "
        "begins with all of its source and finds layerwise densities by one threshold for all layers. In "
        "Conv-6 the ERK source has 71,000 of the 287,000 weights of convolutions; a network of density 0.2 "
        "keeps 113,000, more of them in linear layers than IMP may want. And that source's weights are "
        "scaled by its densities (up to 2.5 times, in the last convolution), the dense network's and "
        "the uniform source's are not. IMP is a plain loop bit for bit, from such a source, too "
        "(`tests/sparse/test_imp.py`). Seed 0 of these settings was known from an "
        "[earlier table](../docs/sparse.md#measured)."
    ),
    caption="Bars: standard deviation over seeds, drawn beside each other where they would overlap.",
)
