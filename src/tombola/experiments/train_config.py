"""The configuration of ordinary and of sparse training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from tombola.errors import ArgumentError, unknown
from tombola.experiments.config import at_least
from tombola.experiments.source_config import SourceConfig
from tombola.source.density import check_density

ONE_SHOT = ("magnitude", "random", "snip", "grasp", "synflow")
METHODS = ("dense", "static", "imp", "rigl", "set", "gradual", *ONE_SHOT)
RANKED_GLOBALLY = ("snip", "grasp", "synflow")
"""Those of the one-shot methods that rank all weights together where nothing else is said."""
USUAL_PERIOD = 100
"""Steps between two updates of the mask (Evci et al. 2020), in training that is long enough for some."""
RANKED = ("imp", "gradual", *ONE_SHOT)
_USED_BY = {
    "scope": RANKED,
    "ticket_rule": ("static", "rigl", "set", "magnitude", "random", "snip", "grasp"),
    "period": ("rigl", "set", "gradual"),
    "drop": ("rigl", "set"),
    "update_end": ("rigl", "set", "gradual"),
    "accumulate": ("rigl",),
    "rounds": ("imp",),
    "rewind_epochs": ("imp",),
    "rewind": ("imp",),
    "pruning_batches": ("snip", "grasp"),
    "layout": METHODS[1:],
}


@dataclass(frozen=True, kw_only=True)
class TrainConfig(SourceConfig):
    """Training of the weights of the same network: all of them, the baseline, or under a mask."""

    command: ClassVar[str] = "train"
    lr: float = 0.01
    """Peak learning rate; it falls to 0 along a cosine."""
    init: str = "kaiming_uniform"
    """Distribution of the weights before training."""
    method: str = "dense"
    """dense, static, imp, rigl, set, gradual, or pruned before training by magnitude, random, snip, grasp or
    synflow."""
    density: float | None = None
    """Fraction of all weights that is kept in the end; None: all those of the source (dense, static)."""
    scope: Literal["layer", "global"] | None = None
    """Rank the weights of each layer by themselves, or all together; None: as is usual for the method."""
    period: int | Literal["auto"] = "auto"
    """RigL, SET, gradual: steps between two updates of the mask; auto: 100, or fewer in a run so short that
    there would be less than ten."""
    drop: float = 0.3
    """RigL, SET: fraction of the kept weights that an update drops, falling to 0 along a cosine."""
    update_end: float = 0.75
    """RigL, SET, gradual: part of the training after which the mask stays as it is."""
    accumulate: int = 1
    """RigL: steps before an update over which the gradient is summed."""
    rounds: int = 5
    """IMP: how often to prune and rewind; there are so many epochs for each round and for the first."""
    rewind_epochs: int = 0
    """IMP: epoch of the first round to go back to; 0: the random weights."""
    rewind: Literal["weights", "optimizer"] = "weights"
    """IMP: take back the weights alone, or the optimiser's momentum, too."""
    pruning_batches: int = 1
    """SNIP, GraSP: batches of training data that they see."""
    ticket: Path | None = None
    """static: a ticket, to train from its own random weights; or the mask.safetensors of a training, from
    those of this run's seed and init."""
    reinit: bool = False
    """Train the ticket from other random weights."""
    shuffle: bool = False
    """Train as many weights of each layer as the ticket has, at random places of its source: an
    Erdős–Rényi one, or the one of --source-mask."""
    layout: Literal["dense", "sparse"] = "dense"
    """How model.safetensors holds pruned weights: as zeros, or not at all."""

    def idle_options(self, steps: int) -> list[str]:
        """What rewinding and scaling cannot do, beside what any source has."""
        lines = super().idle_options(steps)
        if self.rewind == "optimizer" and self.rewind_epochs == 0:
            lines.append(
                "at --rewind-epochs 0 the optimiser has no momentum yet, so --rewind optimizer takes back "
                "what weights does"
            )
        dense = self.source_density == 1 and self.source_mask is None
        if self.fan_scaling and dense and self.method in ("imp", "gradual"):
            lines.append(
                f"method {self.method} begins with the whole source, which is dense, so --fan-scaling "
                "changes no weight"
            )
        return lines

    def check(self) -> None:
        """Raise ArgumentError for a value that no training can have, or that the method does not use."""
        super().check()
        if self.method not in METHODS:
            raise unknown("method", self.method, METHODS)
        for name, value, least in (
            ("period", 1 if self.period == "auto" else self.period, 1),
            ("accumulate", self.accumulate, 1),
            ("rounds", self.rounds, 1),
            ("rewind_epochs", self.rewind_epochs, 0),
            ("pruning_batches", self.pruning_batches, 1),
        ):
            at_least(name, value, least)
        if self.period != "auto" and self.accumulate > self.period:
            raise ArgumentError(f"accumulate must be at most period, {self.period}, got {self.accumulate!r}")
        if not 0 < self.drop < 1:
            raise ArgumentError(f"drop must be in (0, 1), got {self.drop!r}")
        if not 0 < self.update_end <= 1:
            raise ArgumentError(f"update_end must be in (0, 1], got {self.update_end!r}")
        if self.rewind_epochs >= self.epochs:
            raise ArgumentError(
                f"rewind_epochs must be below epochs, {self.epochs}, got {self.rewind_epochs!r}"
            )
        for name, choice, known in (
            ("scope", self.scope or "layer", ("layer", "global")),
            ("rewind", self.rewind, ("weights", "optimizer")),
            ("layout", self.layout, ("dense", "sparse")),
        ):
            if choice not in known:
                raise unknown(name, choice, known)
        if self.density is not None:
            check_density(self.density)
        for name, methods in _USED_BY.items():
            unsaid = [getattr(TrainConfig(), name)]
            if name == "period":
                unsaid.append(USUAL_PERIOD)  # as the configurations of earlier runs have it
            if self.method not in methods and getattr(self, name) not in unsaid:
                raise ArgumentError(
                    f"--{name.replace('_', '-')} is for method {', '.join(methods)}, not for {self.method}"
                )
        self._check_mask()
        self._check_ranking()

    def _check_mask(self) -> None:
        """Whether the options say once which weights are kept."""
        if self.method == "dense" and (self.source_options() or self.source_mask or self.density):
            raise ArgumentError("method dense trains every weight: give --method static, or another one")
        if self.method not in ("dense", "static") and self.density is None:
            raise ArgumentError(f"method {self.method} needs --density, the fraction of weights to keep")
        if self.ticket is None and (self.reinit or self.shuffle):
            raise ArgumentError("--reinit and --shuffle are of a ticket: give --ticket")
        if self.ticket is not None:
            if self.method != "static":
                raise ArgumentError(
                    f"--ticket says which weights to train: give --method static, got {self.method}"
                )
            given = self.source_options() or self.density or self.ticket_rule
            if given or (self.source_mask and not self.shuffle):
                raise ArgumentError("--ticket says which weights to train: give no density and no source")

    def _check_ranking(self) -> None:
        """Whether each layer has a density of its own where one is needed."""
        scope = self.scope or ("global" if self.method in RANKED_GLOBALLY else "layer")
        if self.ticket_rule is not None and self.method in RANKED and scope == "global":
            raise ArgumentError(
                f"--ticket-rule gives each layer its density, and method {self.method} ranks all weights "
                "together: give --scope layer, too"
            )
        if self.fan_scaling and self.method == "dense":
            raise ArgumentError("fan_scaling is for sparse training, not for method dense")
        if self.fan_scaling and self.method in ONE_SHOT and scope == "global":
            raise ArgumentError(
                f"fan_scaling needs each layer's density beforehand: not with method {self.method}, which "
                "ranks all weights together"
            )
