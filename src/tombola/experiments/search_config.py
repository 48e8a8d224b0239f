"""The configuration of a search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from tombola.errors import ArgumentError, unknown
from tombola.experiments.config import at_least
from tombola.experiments.source_config import SourceConfig
from tombola.source.density import check_density

METHODS = ("iterand", "edge-popup", "signed-supermask")
_USED_BY = {"period": ("iterand", "signed-supermask"), "rate": ("iterand",)}


@dataclass(frozen=True, kw_only=True)
class SearchConfig(SourceConfig):
    """A search for a strong ticket. The defaults suit the handwritten digits."""

    command: ClassVar[str] = "search"
    method: str = "iterand"
    """Search method: iterand, edge-popup or signed-supermask."""
    density: float = 0.5
    """Fraction of all weights that the ticket keeps."""
    anneal: int = 0
    """Reach the ticket's density from the source's by so many equal factors; 0: at once."""
    anneal_epochs: float | None = None
    """Epochs until annealing has reached the ticket's density; None: half of them all."""
    period: int | Literal["auto"] | None = "auto"
    """Steps between redraws of pruned weights; auto: 30 for IteRand, where the paper has 300 on CIFAR-10 and
    1000 on ImageNet, 1 for a signed supermask; None: never."""
    rate: float = 0.1
    """IteRand: probability with which each pruned weight is redrawn."""
    scope: Literal["layer", "global"] = "layer"
    """One threshold for each layer, or one for the whole network."""
    absolute: bool = False
    """Rank the weights by |score|, as signed-supermask does in any case."""
    score_init: Literal["fan_in", "kaiming_uniform"] = "fan_in"
    """Scores start in U(-b, b) with b = 1/sqrt(fan-in), or b = sqrt(6/fan-in) as in the IteRand paper."""
    bias: bool = False
    """Random, prunable biases instead of none."""

    @property
    def redraw_period(self) -> int | None:
        """Steps between redraws, None for none at all."""
        if self.period == "auto":
            return 1 if self.method == "signed-supermask" else 30
        return self.period

    def idle_options(self, steps: int) -> list[str]:
        """Redraws that the method does not make, or that the run ends before, beside what any source has."""
        lines = super().idle_options(steps)
        for name, methods in _USED_BY.items():
            if self.method not in methods and getattr(self, name) != getattr(SearchConfig(), name):
                lines.append(f"--{name} is for method {', '.join(methods)}: {self.method} does without")
        period, updates = self.redraw_period, steps * self.epochs
        redraws = self.method != "edge-popup" and (self.method != "iterand" or self.rate > 0)
        if redraws and period is not None and period > updates:
            lines.append(
                f"the run has {updates} steps and the first redraw would come after {period}, so there is "
                "none: give a smaller --period"
            )
        return lines

    def check(self) -> None:
        """Raise ArgumentError for a value that no search can have."""
        super().check()
        if self.method not in METHODS:
            raise unknown("method", self.method, METHODS)
        check_density(self.density)
        if self.ticket_rule is not None and self.scope == "global":
            raise ArgumentError("--ticket-rule gives each layer its density: not with scope global")
        if self.fan_scaling and self.scope == "global":
            raise ArgumentError("fan_scaling needs each layer's density beforehand: not with scope global")
        if isinstance(self.period, int):
            at_least("period", self.period, 1)
        elif self.period is None and self.method == "signed-supermask":
            raise ArgumentError("method signed-supermask redraws: its period is a number of steps, got None")
        if not 0 <= self.rate <= 1:
            raise ArgumentError(f"rate is the probability of a redraw, in [0, 1], got {self.rate!r}")
        at_least("anneal", self.anneal, 0)
        if self.anneal_epochs is not None and not 0 < self.anneal_epochs <= self.epochs:
            raise ArgumentError(
                f"anneal_epochs must be in (0, {self.epochs}], the run's epochs, got {self.anneal_epochs!r}"
            )
        if self.anneal_epochs is not None and self.anneal == 0:
            raise ArgumentError(
                "anneal_epochs says how long to anneal: give anneal, the number of levels, too"
            )
