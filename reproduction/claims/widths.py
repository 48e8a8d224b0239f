"""The runs of claims A1 and A3: IteRand and edge-popup over widths, in two distributions of weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reproduction.records import Rows, deciding, runs

INITS = ("signed_constant", "kaiming_uniform")
METHODS = {"iterand": "IteRand", "edge-popup": "edge-popup"}


@dataclass(frozen=True)
class Network:
    """A network as in the sweeps that vary its width: what they are called, and the widths that they have;
    `seeds`: a sweep of other seeds, of some of these.
    """

    title: str
    sweeps: tuple[str, ...]
    widths: tuple[float, ...]
    seeds: str | None = None

    def group(self, method: str, init: str, width: float) -> Rows:
        """The runs that decide: of the other seeds, where they have all ended and are of these."""
        wanted: dict[str, str | float] = {"method": method, "init": init, "width": width}
        others = deciding(self.seeds, *self.sweeps).where(**wanted)
        return others if others.rows else self.runs().where(**wanted)

    def accuracies(self, method: str, init: str, width: float) -> list[float]:
        """Test accuracies of the group in %, by seed; empty where it was not run."""
        return self.group(method, init, width).accuracies()

    def runs(self) -> Rows:
        """All runs of the network."""
        return runs(*self.sweeps)

    def run_widths(self) -> list[float]:
        """The widths that have been run at all."""
        return [width for width in self.widths if self.runs().where(width=width).begun]


NETWORKS = (
    Network(
        "Conv-6, 30 epochs",
        ("a1-width-0.25", "a1-width-0.5-signed-constant", "a1-width-0.5-kaiming-uniform"),
        (0.25, 0.5),
        "a1-seeds",
    ),
    Network("Conv-6, 100 epochs", ("gpu-a1-conv6",), (0.25, 0.5, 1.0, 2.0)),
    Network("ResNet-18, 100 epochs", ("gpu-a1-resnet18",), (0.25, 0.5, 1.0, 2.0)),
)
SWEEPS = tuple(sweep for network in NETWORKS for sweep in (*network.sweeps, *filter(None, [network.seeds])))


def all_run_widths() -> list[float]:
    """The widths of which any network has been run."""
    return sorted({width for network in NETWORKS for width in network.run_widths()})


def settings() -> Iterator[tuple[Network, str]]:
    """Every network with every distribution of weights."""
    for network in NETWORKS:
        for init in INITS:
            yield network, init
