"""The runs of claims A1 and A3: IteRand and edge-popup over widths, in two distributions of weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reproduction.records import Rows, runs

INITS = ("signed_constant", "kaiming_uniform")
METHODS = {"iterand": "IteRand", "edge-popup": "edge-popup"}


@dataclass(frozen=True)
class Network:
    """A network as in the sweeps that vary its width: what they are called, and the widths that they have."""

    title: str
    sweeps: tuple[str, ...]
    widths: tuple[float, ...]

    def accuracies(self, method: str, init: str, width: float) -> list[float]:
        """Test accuracies in %, by seed; empty where it was not run."""
        return self.runs().where(method=method, init=init, width=width).accuracies()

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
    ),
    Network("Conv-6, 100 epochs", ("gpu-a1-conv6",), (0.25, 0.5, 1.0, 2.0)),
    Network("ResNet-18, 100 epochs", ("gpu-a1-resnet18",), (0.25, 0.5, 1.0, 2.0)),
)
SWEEPS = tuple(sweep for network in NETWORKS for sweep in network.sweeps)


def settings() -> Iterator[tuple[Network, str]]:
    """Every network with every distribution of weights."""
    for network in NETWORKS:
        for init in INITS:
            yield network, init
