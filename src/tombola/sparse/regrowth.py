"""What SET and RigL share: now and then the smallest weights are dropped, and as many grown elsewhere."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping

import torch

from tombola.search.counts import LayerDensity
from tombola.search.select import select
from tombola.source.density import AnyRule
from tombola.source.network import Source
from tombola.sparse.base import SparseTraining, check_free, searched_names
from tombola.sparse.options import check_fraction, check_steps
from tombola.sparse.ranking import check_ranks, keep_best, layers_of, magnitudes, random_ranks, within


class Regrowth(SparseTraining):
    """Every `period` steps each layer drops a fraction of its kept weights, those of least magnitude, and
    grows as many among the alive ones that are not kept, by `growth_ranks`. The counts k_l never change.

    The first mask is drawn from the seed. The fraction is `fraction` · (1 + cos(π t / `end`)) / 2 after t
    steps, and there are no updates from `end` on; with `end` None it stays as it is, and so do they.
    A weight just dropped may be grown again: then nothing happens to it (Evci et al. 2020, section 3). One
    that is grown starts at 0. Layers whose weights were frozen before the source was attached keep theirs.
    """

    def __init__(
        self,
        source: Source,
        density: LayerDensity,
        fraction: float,
        period: int,
        end: int | None,
        rule: AnyRule | None,
    ) -> None:
        check_free(source)
        self.fraction = check_fraction("fraction", fraction)
        self.period = check_steps("period", period)
        self.end = None if end is None else check_steps("end", end)
        ranks = {name: random_ranks(source, name, "sparse") for name in searched_names(source)}
        super().__init__(source, keep_best(source, ranks, density, rule=rule))
        trained = {name for name, parameter in self.masked_parameters() if parameter.requires_grad}
        self._layers = {layer: names for layer, names in layers_of(source).items() if trained & {*names}}
        self.settings |= {
            "kept": {name: self._count(name) for name in self._layers},
            "fraction": self.fraction,
            "period": self.period,
            "end": self.end,
        }

    @abstractmethod
    def growth_ranks(self, name: str) -> torch.Tensor:
        """A number per weight of a tensor: the greatest are grown."""

    def after_step(self) -> None:
        """Update the masks when a period is full."""
        if self.steps % self.period == 0 and self._updates_at(self.steps) and self.may_update():
            self.set_mask(self._updated())

    def may_update(self) -> bool:
        """Whether this update can be made; else the mask stays as it is until the next."""
        return True

    def drop_fraction(self, step: int) -> float:
        """The fraction of the kept weights that an update after `step` steps drops."""
        if self.end is None:
            return self.fraction
        return self.fraction / 2 * (1 + math.cos(math.pi * min(step, self.end) / self.end))

    def _updates_at(self, step: int) -> bool:
        return self.end is None or step < self.end

    def _updated(self) -> dict[str, torch.Tensor]:
        masks: dict[str, torch.Tensor] = {}
        for layer, names in self._layers.items():
            count = self._count(layer)
            drop = round(self.drop_fraction(self.steps) * count)
            kept = {name: self.masked[name].mask for name in names}
            stay = dict(
                zip(names, select(_only(magnitudes(self.source, names), kept), count - drop), strict=True)
            )
            ranks = {name: within(self.source, name, self.growth_ranks(name)) for name in names}
            free = {name: ~stay[name] for name in names}
            grown = dict(zip(names, select(_only(ranks, free), drop), strict=True))
            masks |= {name: stay[name] | grown[name] for name in names}
        return masks

    def _count(self, layer: str) -> int:
        return sum(int(self.masked[name].mask.sum()) for name in self._layers[layer])


def _only(ranks: dict[str, torch.Tensor], where: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    """The ranks, -inf elsewhere than `where`."""
    for name, values in ranks.items():
        check_ranks(name, values)
    return [torch.where(where[name], values, -torch.inf) for name, values in ranks.items()]
