"""Groups of scores that share a threshold, and where it lies.

The threshold is found when scores have changed, not in the forward pass: that only compares, so it compiles
without a break, and every use of a weight in one step (attention reads its projections several times) sees
the same mask.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from tombola.errors import ArgumentError
from tombola.search.straight_through import (
    Limit,
    StraightThrough,
    is_transformed,
    kept,
    masked_weight,
    ranks_of,
)
from tombola.search.threshold import Part, Tracker
from tombola.source.slot import Running, Slot

Ranks = tuple[torch.Tensor, torch.Tensor | None]
"""What a tensor's entries are ranked by, and which of them are alive: None for all."""


class Scored(nn.Module):
    """What a search puts into a slot: the scores of one tensor and which of them are kept, those from `cut`
    on (see `kept`). While `running` counts a layer's own forward pass, which would cast it, the masked weight
    comes in autocast's type at once.
    """

    cut: torch.Tensor
    last: torch.Tensor

    def __init__(
        self, name: str, scores: torch.Tensor, absolute: bool, running: Running | None = None
    ) -> None:
        super().__init__()
        self.name = name
        self.scores = nn.Parameter(scores)
        self.register_buffer("cut", torch.zeros((), dtype=scores.dtype, device=scores.device))
        self.register_buffer("last", torch.zeros((), dtype=torch.int64, device=scores.device))
        self._limit: Limit | None = None
        # While the model is of another type than float32: what was kept before, for scores so rounded no
        # longer tell; and the scores, and the version of them, that this is of.
        self.held: tuple[torch.Tensor, torch.Tensor, int] | None = None
        self.absolute = absolute
        self.running = running
        self.group: Group | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "held": self._held()}  # type: ignore[no-untyped-call]

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._hold(state["held"])  # a copy's scores count their versions anew

    def mask(self, alive: torch.Tensor | None) -> torch.Tensor:
        """Which entries are kept, of the scores' shape."""
        if (held := self._held()) is not None:
            return _and(held, alive)
        return kept(ranks_of(self.scores.detach(), self.absolute), self._within(), alive)

    def keep_from(self, limit: Limit) -> None:
        """Keep what is within `limit` from now on."""
        if isinstance(limit.cut, float) and self.cut.device.type == "cpu":
            # By numpy: a layer of a few thousand weights feels what torch takes to write two numbers.
            self.cut.numpy()[()], self.last.numpy()[()] = limit.cut, limit.last
            self._limit = limit
        else:
            self.cut.fill_(limit.cut)
            self.last.fill_(limit.last)
            self._limit = None

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Scored:
        # A change of type rounds scores, and is not counted as a change in place.
        cast = fn(self.scores.data.new_empty(0)).dtype != torch.float32
        known = cast and self.group is not None and self.group.settle()
        held, before = self._held(), self.scores.data
        limit = self._limit or Limit(self.cut, self.last, True)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if held is None and known:
            held = kept(ranks_of(before, self.absolute), limit, None)
        self._hold(held.to(self.scores.device) if cast and held is not None else None)
        if self.group is not None and self.held is None:
            self.group.forget()
        return self

    def _hold(self, mask: torch.Tensor | None) -> None:
        self.held = None if mask is None else (mask, self.scores, self.scores._version)

    def _held(self) -> torch.Tensor | None:
        """What was kept when the model was cast, unless the scores are others, or were written to, since."""
        if self.held is None:
            return None
        mask, scores, version = self.held
        return mask if scores is self.scores and version == scores._version else None

    def _within(self) -> Limit:
        """The limit: as numbers if they are known, which costs less than to read them from the buffers."""
        if self.group is not None and not torch.compiler.is_compiling() and is_transformed(self.scores):
            return self.group.limit_inside(self)
        # Whether ties are split is no part of a graph: it would be compiled anew with every change.
        if self._limit is None or torch.compiler.is_compiling():
            return Limit(self.cut, self.last, True)
        return self._limit

    def get_extra_state(self) -> torch.Tensor:
        """How many weights an annealed group keeps, for `state_dict` (-1: always as many). A tensor, so that
        every format of files can hold it.
        """
        annealed = self.group is not None and self.group.annealed
        return torch.tensor(self.group.keep if self.group is not None and annealed else -1)

    def set_extra_state(self, state: torch.Tensor) -> None:
        """Keep as many as the state was saved with."""
        if self.group is not None and self.group.annealed and int(state) >= 0:
            self.group.set_keep(int(state))

    def forward(self, weight: torch.Tensor, alive: torch.Tensor | None) -> torch.Tensor:
        """The masked weight."""
        # A compiled model relies on Search.step(): a version counter is not part of its graph.
        held = self._held()
        if self.group is not None and held is None and not torch.compiler.is_compiling():
            self.group.ensure_current()
        kind = weight.device.type
        dtype = weight.dtype
        # What parametrize.cached() keeps may be read outside of autocast.
        inside = self.running is not None and self.running.count > 0
        if inside and torch.is_autocast_enabled(kind) and not parametrize._cache_enabled:
            dtype = torch.get_autocast_dtype(kind)
        if held is not None:
            given = (self.scores, weight, _and(held, alive), alive, self.absolute, dtype)
            masked: torch.Tensor = StraightThrough.apply(*given)  # type: ignore[no-untyped-call]
            return masked
        return masked_weight(self.scores, weight, self._within(), alive, self.absolute, dtype)


class Group:
    """The tensors that share one threshold: the `keep` best of all their alive entries are kept.

    A plain object, not a module: it owns no state of its own but remembers for which scores, and which
    version of them, the masks were selected. `annealed`: `keep` changes as the search goes on.
    """

    def __init__(self, slots: Sequence[Slot], keep: int, name: str, annealed: bool = False) -> None:
        self.slots = list(slots)
        self.keep = keep
        self.name = name
        self.annealed = annealed
        self._tracker = Tracker()
        self._seen: list[tuple[torch.Tensor, int]] = []

    def __getstate__(self) -> dict[str, Any]:
        # A copy's scores start counting their versions anew, so what was seen says nothing of them.
        return {**self.__dict__, "_seen": []}

    def set_keep(self, keep: int) -> None:
        """Keep so many from the next selection on."""
        if keep != self.keep:
            self.keep = keep
            self.forget()

    def forget(self) -> None:
        """Select anew at the next use, whatever the scores."""
        self._seen = []

    def claim(self) -> None:
        """Make the members ask this group for their masks."""
        for scored in self._scored():
            scored.group = self

    def ensure_current(self) -> None:
        """Select again unless that `is_current`, or cannot be: see `limit_inside`."""
        members = self._scored()
        if not self.is_current() and not is_transformed(*(scored.scores for scored in members)):
            self.select()

    def settle(self) -> bool:
        """Select now where the next use would, before the scores are cast; whether that `is_current` then."""
        kinds = {(scored.scores.dtype, scored.scores.device) for scored in self._scored()}
        if not self.is_current() and len(kinds) == 1:
            with suppress(ArgumentError):  # of scores that are no numbers: the next use says so
                self.ensure_current()
        return self.is_current()

    def is_current(self) -> bool:
        """Whether the scores are those last selected from, not changed in place as far as torch counts that:
        fused optimisers and `.data` go uncounted, which is why `Search.step` always selects.
        """
        now = [scored.scores for scored in self._scored()]
        return len(now) == len(self._seen) and all(
            scores is seen and scores._version == version
            for scores, (seen, version) in zip(now, self._seen, strict=True)
        )

    @torch.no_grad()
    def select(self) -> None:
        """Find the threshold of the scores as they are now.

        Raises ArgumentError naming the tensor when a score is NaN or infinite, or no float32.
        """
        members = self._scored()
        if not members:  # nothing but layers without weights
            return
        for scored in members:
            _check_scores(scored.name, scored.scores)
        limits = find_limits(self._ranks(members), self.keep, self._tracker)
        for scored, limit in zip(members, limits, strict=True):
            scored.keep_from(limit)
        self._seen = [(scored.scores, scored.scores._version) for scored in members]

    def limit_inside(self, scored: Scored) -> Limit:
        """The limit of a member inside a transform of torch.func, where its scores need not be those last
        selected from, and where values can be neither looked at nor written into buffers.

        Raises ArgumentError naming the tensor whose scores are no float32: those of a model that was cast.
        """
        members = self._scored()
        for each in members:
            _check_type(each.name, each.scores)
        return limits_on_device(self._ranks(members), self.keep)[members.index(scored)]

    def _ranks(self, members: Sequence[Scored]) -> list[Ranks]:
        return [
            (ranks_of(scored.scores.detach(), scored.absolute), slot.alive)
            for scored, slot in zip(members, self.slots, strict=True)
        ]

    def _scored(self) -> list[Scored]:
        return [scored for slot in self.slots if isinstance(scored := slot.masking, Scored)]


def _check_type(name: str, scores: torch.Tensor) -> None:
    if scores.dtype != torch.float32:
        raise ArgumentError(
            f"{name}: scores must be float32, got {scores.dtype}: call model.float(), or give scores of "
            "float32, and use torch.autocast for lower precision; what was rounded stays so"
        )


def _check_scores(name: str, scores: torch.Tensor) -> None:
    _check_type(name, scores)
    # An infinite score would tie with the rank of the entries outside the source.
    least, greatest = (float(one) for one in torch.aminmax(scores))
    if not (math.isfinite(least) and math.isfinite(greatest)):
        raise ArgumentError(f"{name}: scores must be finite numbers, got values from {least} to {greatest}")


def select(ranks: Sequence[torch.Tensor], keep: int) -> list[torch.Tensor]:
    """Masks of the `keep` greatest entries of all `ranks` together, each of its tensor's shape, with ties as
    in a `Group`. The entries are numbers or -inf.
    """
    limits = find_limits([(values, None) for values in ranks], keep, Tracker())
    return [kept(values, limit, None) for values, limit in zip(ranks, limits, strict=True)]


def find_limits(ranks: Sequence[Ranks], keep: int, tracker: Tracker) -> list[Limit]:
    """How to keep the `keep` greatest entries of all `ranks` together, for each of its tensors.

    The count is exact: ties at the threshold go to the lower index, in the order of the tensors and
    flat within each. If no more than `keep` are alive, all those are kept.
    """
    on_cpu = all(values.is_cpu for values, _ in ranks)
    return limits_on_cpu(ranks, keep, tracker) if on_cpu else limits_on_device(ranks, keep)


def limits_on_cpu(ranks: Sequence[Ranks], keep: int, tracker: Tracker) -> list[Limit]:
    """`find_limits` with numpy."""
    cut = tracker.find([_laid_out(*pair) for pair in ranks], keep)
    limits, left = [], cut.ties
    for values, alive in ranks:
        last = values.numel() - 1
        if cut.splits:
            tied = _and(values == cut.value, alive).reshape(-1).nonzero()[:, 0]
            last = last if len(tied) <= left else int(tied[left - 1]) if left else -1
            left = max(0, left - len(tied))
        limits.append(Limit(cut.value, last, cut.splits))
    return limits


def limits_on_device(ranks: Sequence[Ranks], keep: int) -> list[Limit]:
    """`find_limits` without a copy to the host."""
    flat = torch.cat([_among_alive(*pair).reshape(-1) for pair in ranks])
    if keep <= 0:
        return [Limit(torch.inf, -1, False) for _ in ranks]
    cut = flat.topk(min(keep, flat.numel()), sorted=False).values.min()
    rank_of_tie = (flat == cut).cumsum(0)
    # The index of the last tie that is kept: how many entries come before as many ties as there is room for.
    last = (rank_of_tie < keep - (flat > cut).sum()).sum()
    limits, first = [], 0
    for values, _ in ranks:
        limits.append(Limit(cut, last - first, True))
        first += values.numel()
    return limits


def _laid_out(values: torch.Tensor, alive: torch.Tensor | None) -> Part:
    """Flat and as they lie in memory if that is possible, for a threshold does not depend on the order."""
    if values.ndim == 4 and values.is_contiguous(memory_format=torch.channels_last):
        values = values.permute(0, 2, 3, 1)
        alive = None if alive is None else alive.permute(0, 2, 3, 1)
    return values.reshape(-1).numpy(), None if alive is None else alive.reshape(-1).numpy()


def _and(mask: torch.Tensor, alive: torch.Tensor | None) -> torch.Tensor:
    return mask if alive is None else mask & alive


def _among_alive(values: torch.Tensor, alive: torch.Tensor | None) -> torch.Tensor:
    return values if alive is None else torch.where(alive, values, -torch.inf)
