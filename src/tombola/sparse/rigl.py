"""RigL: dynamic sparse training that grows where the gradient is greatest.

Evci et al., "Rigging the lottery: making all tickets winners", ICML 2020, section 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist

from tombola.errors import ArgumentError
from tombola.search.counts import LayerDensity
from tombola.source.density import AnyRule
from tombola.source.network import Source
from tombola.source.settings import check_tensors
from tombola.sparse.options import check_steps
from tombola.sparse.regrowth import Regrowth


class RigL(Regrowth):
    """Drops the weights of least magnitude, grows those of greatest |∂L/∂(W ⊙ M)|.

    Parameters
    ----------
    source : the network to train, attached.
    density : fraction kept of all weights, or {layer name: fraction}.
    fraction : of the kept weights, dropped at the first update (α = 0.3).
    period : optimiser steps between updates (ΔT = 100).
    end : steps until the fraction has fallen to 0 along half a cosine, and updates end (T_end = 25,000, three
        quarters of the paper's training: give three quarters of yours). None: no decay and no end.
    accumulate : over how many steps before an update the gradient is summed, at most `period`.
    rule : layerwise rule of the density, as in `densities` (the paper: erk); None thins the source evenly.

    In a distributed training the gradients that are summed are averaged over all processes after every step,
    so that the state of one is that of all.
    The paper updates the mask in the place of the weights every `period` steps; here the weights have been
    updated by then, and the gradient is that of the steps before.
    Raises ArgumentError for an option out of range.
    """

    def __init__(
        self,
        source: Source,
        density: LayerDensity,
        fraction: float = 0.3,
        period: int = 100,
        end: int | None = 25_000,
        *,
        accumulate: int = 1,
        rule: AnyRule | None = None,
    ) -> None:
        self.accumulate = check_steps("accumulate", accumulate)
        if self.accumulate > check_steps("period", period):
            raise ArgumentError(f"accumulate must be at most the period, {period}, got {accumulate}")
        super().__init__(source, density, fraction, period, end, rule)
        self.settings["accumulate"] = self.accumulate
        self._probe()

    def growth_ranks(self, name: str) -> torch.Tensor:
        """The magnitude of the gradient, kept and pruned weights alike."""
        return self.masked[name].gradient().abs()

    def may_update(self) -> bool:
        """Not where a gradient has overflowed: in mixed precision the weights were left as they are, too."""
        return all(bool(torch.isfinite(masked.gradient()).all()) for masked in self.masked.values())

    def after_step(self) -> None:
        """Update the masks when a period is full; then see to it that the next gradients are summed."""
        self._average()
        super().after_step()
        self._probe()

    def own_state(self) -> dict[str, Any]:
        """The gradients summed so far."""
        return {name: m.gradient().clone() for name, m in self.masked.items() if m.probe is not None}

    def check_own_state(self, state: Mapping[str, Any], steps: int) -> None:
        """Gradients of all that takes part where they are summed then."""
        summed = dict(self.masked_parameters()) if self._sums_after(steps) else {}
        check_tensors({"gradients": state}, "training", {"gradients": summed})
        for name in summed:
            if not state[name].is_floating_point():
                raise ArgumentError(f"the saved training has gradients of {state[name].dtype} for {name!r}")

    def load_own_state(self, state: Mapping[str, Any]) -> None:
        """Go on from `own_state()`."""
        for name, masked in self.masked.items():
            masked.stop_probe()
            if self._sums_after(self.steps):
                masked.start_probe(self.source.parameter(name), state[name].clone())

    def _average(self) -> None:
        """Let all processes of a distributed training grow the same weights."""
        if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
            return
        for name, masked in self.masked.items():
            if masked.probe is not None:
                gradient = masked.gradient() / dist.get_world_size()
                dist.all_reduce(gradient)
                masked.start_probe(self.source.parameter(name), gradient)

    def _sums_after(self, steps: int) -> bool:
        """Whether the next step's gradient is summed: one of the last `accumulate` before an update."""
        since = steps % self.period
        return since >= self.period - self.accumulate and self._updates_at(steps - since + self.period)

    def _probe(self) -> None:
        """Sum the gradients that the next update needs, and no others."""
        for name, masked in self.masked.items():
            if not self._sums_after(self.steps):
                masked.stop_probe()
            elif masked.probe is None or self.steps % self.period == 0:
                masked.start_probe(self.source.parameter(name))
