"""B3: sparse training that starts from an Erdős–Rényi source costs no accuracy."""

from __future__ import annotations

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
NETWORKS = {"b3": "Conv-6, width 0.5", "gpu-b3-resnet18": "ResNet-18"}
EPOCHS = {
    "b3": {"rigl": "10 epochs", "imp": "6 × 2 epochs"},
    "gpu-b3-resnet18": {"rigl": "100 epochs", "imp": "6 × 20 epochs"},
}


def of(sweep: str, method: str, density: float, source: float) -> list[float]:
    """Test accuracies in %, by seed."""
    return runs(sweep).where(method=method, density=density, source_density=source).accuracies()


def findings() -> list[Finding]:
    """Each method from a source of density 0.5 against the same from the dense network."""
    return [
        not_less(
            f"{network}: {_named(sweep, method)} to density {density:g} does as well from a source "
            "of density 0.5",
            of(sweep, method, density, 0.5),
            of(sweep, method, density, 1.0),
            MARGIN,
        )
        for sweep, network in NETWORKS.items()
        for method in METHODS
        for density in DENSITIES
    ]


def _named(sweep: str, method: str) -> str:
    return f"{METHODS[method]} ({EPOCHS[sweep][method]})"


def draw(figure: Figure) -> None:
    """Accuracy against the density that is reached, from both starts, a panel for each network."""
    there = [sweep for sweep in NETWORKS if runs(sweep).accuracies()]
    panels = density_panels(figure, [NETWORKS[sweep] for sweep in there], "density reached")
    for sweep, axes in zip(there, panels, strict=True):
        for number, method in enumerate(METHODS):
            for source, name, style in ((1.0, "from dense", "-"), (0.5, "from ER 0.5", "--")):
                values = [of(sweep, method, density, source) for density in DENSITIES]
                points(axes, DENSITIES, values, f"{_named(sweep, method)}, {name}", f"C{number}", style)
        axes.set_xscale("log")


CLAIM = Claim(
    name="b3",
    title="Sparse training costs no accuracy by starting from an Erdős–Rényi source of moderate density",
    source="Gadhikar et al., ICML 2023",
    sweeps=tuple(NETWORKS),
    findings=findings,
    draw=draw,
    caption="Bars: standard deviation over seeds.",
)
