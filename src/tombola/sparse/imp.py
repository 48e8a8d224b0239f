"""IMP: iterative magnitude pruning with rewinding.

Frankle and Carbin, "The lottery ticket hypothesis", ICLR 2019; rewinding to step k: Frankle et al., "Linear
mode connectivity and the lottery ticket hypothesis", ICML 2020.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from numbers import Integral
from typing import Any, Literal

import torch

from tombola.errors import ArgumentError, check_kind, unknown
from tombola.source.density import check_density
from tombola.source.network import Source
from tombola.source.settings import AS_SAVED, check_tensors
from tombola.sparse.base import SparseTraining, check_free, fit
from tombola.sparse.optimizers import check_states
from tombola.sparse.options import check_fraction, check_steps
from tombola.sparse.ranking import counts_in, keep_best, magnitudes

Rewind = Literal["weights", "optimizer"]


class IMP(SparseTraining):
    """Trains, drops the weights of least magnitude, takes the others back to where they were, and trains
    again: `rounds` times.

        imp = tombola.sparse.IMP(source, density=0.2, rounds=5)
        imp.run(train)  # train() trains the network once, in your own loop, with imp.step()

    `run` trains `rounds` + 1 times; `next_round` prunes and rewinds by hand.

    Parameters
    ----------
    source : the network to train, attached; training starts from all of it.
    density : fraction of all weights kept in the end, in (0, the source's].
    fraction : of the kept weights, dropped after each round (0.2); the last round drops what is left to.
    rounds : their number in the place of a fraction: each then keeps the same factor.
    rewind_step : the step of the first round to whose weights is rewound; 0: the source's own.
    rewind : `weights` alone, with the optimiser's memory cleared, or with the `optimizer`'s as it was then:
        train all rounds with the same optimiser, for a new one starts empty.
    scope : `global`, one threshold over all layers, or `layer`, which thins the source evenly.

    All trained parameters and the normalisation statistics are rewound. The learning rate is the loop's.
    Raises ArgumentError for an option out of range.
    """

    def __init__(
        self,
        source: Source,
        density: float,
        fraction: float | None = None,
        rounds: int | None = None,
        *,
        rewind_step: int = 0,
        rewind: Rewind = "weights",
        scope: str = "global",
    ) -> None:
        check_free(source)
        if rewind not in ("weights", "optimizer"):
            raise unknown("rewind", rewind, ("weights", "optimizer"))
        self.densities = _round_densities(source.density, check_density(density), fraction, rounds)
        whole = fit(source, source.mask)
        counts_in(source, density, scope=scope)  # better refused now than in the end
        self.rewind_step = check_steps("rewind_step", rewind_step, least=0)
        self.rewind, self.scope, self.round = rewind, scope, 0
        super().__init__(source, whole)
        self.settings |= {
            "densities": self.densities,
            "rewind step": self.rewind_step,
            "rewind": rewind,
            "scope": scope,
        }
        self._start: dict[str, Any] | None = None
        self._remember()

    @property
    def rounds(self) -> int:
        """How many times weights are pruned and rewound."""
        return len(self.densities)

    @property
    def density(self) -> float:
        """The density of the round that is being trained."""
        return self.densities[self.round - 1] if self.round else self.source.density

    def run(self, train: Callable[[], object]) -> None:
        """Call `train` for this round and every later one, pruning and rewinding in between."""
        train()
        while self.round < self.rounds:
            self.next_round()
            train()

    def after_step(self) -> None:
        """Remember the weights when it is time to."""
        self._remember()

    @torch.no_grad()
    def next_round(self) -> None:
        """Prune by the weights as they are now, and rewind what is left.

        Raises ArgumentError after the last round, or before the step to rewind to.
        """
        self.source.check_attached("prune")
        if self.round == self.rounds:
            raise ArgumentError(f"all {self.rounds} rounds have been pruned")
        if self._start is None:
            raise ArgumentError(
                f"the first round must reach step {self.rewind_step}, to rewind to; it is at {self.steps}"
            )
        kept = {name: masked.mask for name, masked in self.masked.items()}
        ranks = {n: torch.where(kept[n], r, -torch.inf) for n, r in magnitudes(self.source, kept).items()}
        mask = keep_best(self.source, ranks, self.densities[self.round], scope=self.scope)
        for name, parameter in self._all().items():
            parameter.copy_(self._start["weights"][name])
        self.source.buffers.load_state(self._start["buffers"])
        self.optimizers.set(self._start["optimizer"] if self.rewind == "optimizer" else {})
        # Last: it sets to 0 what the rewinding has brought back.
        self.set_mask(mask)
        self.round += 1

    def own_state(self) -> dict[str, Any]:
        """The round, and what to rewind to."""
        return {"round": self.round, "start": copy.deepcopy(self._start)}

    def check_own_state(self, state: Mapping[str, Any], steps: int) -> None:
        """A round that there is, and all that it rewinds to."""
        for key in ("round", "start"):
            if key not in state:
                raise ArgumentError(f"the saved training does not say its {key}")
        reached, start = state["round"], state["start"]
        whole = isinstance(reached, Integral) and not isinstance(reached, bool)
        if not whole or not 0 <= int(reached) <= self.rounds:
            raise ArgumentError(
                f"the saved training has round = {reached!r}, this one the rounds 0 to {self.rounds}"
            )
        if start is None and not reached and steps < self.rewind_step:
            return  # it has not come there yet
        check_kind("the saved training's start", start, Mapping, AS_SAVED)
        kept: Mapping[str, torch.Tensor] = self.source.buffers.kept()
        check_tensors(start, "training's start", {"weights": self._all(), "buffers": kept})
        check_states(start.get("optimizer"), self._trained)

    def load_own_state(self, state: Mapping[str, Any]) -> None:
        """Go on from `own_state()`."""
        self.round, self._start = int(state["round"]), copy.deepcopy(state["start"])

    def _remember(self) -> None:
        if self._start is None and self.steps == self.rewind_step:
            self._start = {
                "weights": {name: p.detach().clone() for name, p in self._all().items()},
                "buffers": self.source.buffers.state(),
                "optimizer": self.optimizers.states() if self.rewind == "optimizer" else {},
            }


def _round_densities(start: float, final: float, fraction: float | None, rounds: int | None) -> list[float]:
    """The density after each pruning; the last is `final` itself."""
    if final > start * (1 + 1e-12):
        raise ArgumentError(f"density {final:g} is above the source's density {start:g}")
    if fraction is not None and rounds is not None:
        raise ArgumentError("give the fraction that a round drops, or the number of rounds, not both")
    if rounds is not None:
        count = check_steps("rounds", rounds)
        return [*(start * (final / start) ** (r / count) for r in range(1, count)), final]
    stays = 1.0 - check_fraction("fraction", 0.2 if fraction is None else fraction)
    # A hair less, or a density that is a power of the fraction would take one round more.
    count = max(1, math.ceil(math.log(final / start) / math.log(stays) - 1e-9))
    return [*(start * stays**r for r in range(1, count)), final]
