"""The options of the network that is searched, or trained sparsely."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tombola.errors import ArgumentError, unknown
from tombola.experiments.config import RunConfig
from tombola.source.density import check_density
from tombola.source.rules import RULES


@dataclass(frozen=True, kw_only=True)
class SourceConfig(RunConfig):
    """A run in a source that may be sparse."""

    source_density: float = 1.0
    """Density of the Erdős–Rényi source network; 1 is a dense one."""
    rule: str = "uniform"
    """Layerwise rule of the source's density: uniform, erk, pyramidal or balanced."""
    exact: bool = False
    """Give each tensor of the source exactly its number of edges, rather than draw each by itself."""
    dense_first: bool = False
    """Keep the source's first layer dense; the rule spreads what is left over the others."""
    dense_last: bool = False
    """Keep the source's last layer dense."""
    dense_depthwise: bool = False
    """Keep the source's depthwise convolutions dense."""
    source_mask: Path | None = None
    """A mask.safetensors of sparse training, or a ticket: what it keeps is the source, in the place of an
    Erdős–Rényi one."""
    ticket_rule: str | None = None
    """Layerwise rule of the density that is kept; None: the source is thinned evenly."""

    fan_scaling: bool = False
    """Scale the weights of each layer by 1/sqrt(the density kept there), so that the variance of the signal
    stays."""

    def check(self) -> None:
        """Raise ArgumentError for a source that cannot be, or is described twice."""
        super().check()
        check_density(self.source_density, "source_density")
        for name, rule in (("rule", self.rule), ("ticket_rule", self.ticket_rule)):
            if rule is not None and rule not in RULES:
                raise unknown(name, rule, RULES)
        if self.source_mask is not None and (changed := self.source_options()):
            raise ArgumentError(f"--source-mask says what the source is: leave out {_flags(changed)}")

    def idle_options(self, steps: int) -> list[str]:
        """How to spread the density of a source that is dense, beside what any run has."""
        lines = super().idle_options(steps)
        if self.source_density == 1 and (given := self.source_options()):
            lines.append(
                f"{_flags(given)} spread the density of the source, which is 1, so nothing comes of it: give "
                "--source-density, or --ticket-rule for the density that is kept"
            )
        return lines

    def source_options(self) -> dict[str, Any]:
        """The options of an Erdős–Rényi source that are other than their defaults."""
        names = ("source_density", "rule", "exact", "dense_first", "dense_last", "dense_depthwise")
        default = SourceConfig()
        return {name: getattr(self, name) for name in names if getattr(self, name) != getattr(default, name)}


def _flags(names: Iterable[str]) -> str:
    return ", ".join(f"--{name.replace('_', '-')}" for name in sorted(names))
