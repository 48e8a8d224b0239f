"""Scores -> threshold -> masked weight, with a straight-through gradient.

The mask is selected when scores have changed, not in the forward pass: the forward pass only reads
a boolean buffer, so it costs one `where`, compiles without a break, and every use of a weight in one
step (attention reads its projections several times) sees the same mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from tombola.errors import ArgumentError
from tombola.mask import top_k
from tombola.source.slot import Slot


class StraightThrough(torch.autograd.Function):
    """(scores, weight, mask, alive, absolute) -> W ⊙ M, with ∂L/∂s = ∂L/∂(W ⊙ M) ⊙ W.

    The gradient reaches kept and pruned scores alike (Ramanujan et al. 2020, section 3; paper A),
    those outside S_ER never; with `absolute` it is multiplied by sign(s). All tensors have the
    weight's shape; `alive` may be None.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(
        scores: torch.Tensor,
        weight: torch.Tensor,
        mask: torch.Tensor,
        alive: torch.Tensor | None,
        absolute: bool,
    ) -> torch.Tensor:
        """W where kept, +0.0 where pruned (a product would leave -0.0)."""
        return torch.where(mask, weight, 0.0)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        """Keep what the gradient needs: the weight, and the scores only for their sign."""
        scores, weight, _, alive, absolute = inputs
        ctx.absolute = absolute
        ctx.save_for_backward(weight, alive, scores if absolute else None)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradient of the scores; weights and masks have none."""
        weight, alive, scores = ctx.saved_tensors
        gradient = gradients[0] * weight
        if ctx.absolute:
            gradient = gradient * scores.sign()
        if alive is not None:
            gradient = torch.where(alive, gradient, 0.0)
        return gradient, None, None, None, None


class Scored(nn.Module):
    """What a search puts into a slot: the scores of one tensor and the mask selected from them."""

    mask: torch.Tensor

    def __init__(self, scores: torch.Tensor, absolute: bool) -> None:
        super().__init__()
        self.scores = nn.Parameter(scores)
        self.register_buffer("mask", torch.zeros(scores.shape, dtype=torch.bool, device=scores.device))
        self.absolute = absolute
        self.group: Group | None = None

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
        if self.group is not None and not torch.compiler.is_compiling():
            self.group.ensure_current()
        inputs = (self.scores, weight, self.mask, alive, self.absolute)
        masked: torch.Tensor = StraightThrough.apply(*inputs)  # type: ignore[no-untyped-call]
        return masked


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
        self._seen: list[tuple[torch.Tensor, int]] = []

    def __getstate__(self) -> dict[str, Any]:
        # A copy's scores start counting their versions anew, so what was seen says nothing of them.
        return {**self.__dict__, "_seen": []}

    def set_keep(self, keep: int) -> None:
        """Keep so many from the next selection on."""
        if keep != self.keep:
            self.keep, self._seen = keep, []

    def claim(self) -> None:
        """Make the members ask this group for their masks."""
        for scored in self._scored():
            scored.group = self

    def ensure_current(self) -> None:
        """Select again if the scores are others, or were changed in place as far as torch counts that:
        fused optimisers and `.data` go uncounted, which is why `Search.step` always selects.
        """
        now = [scored.scores for scored in self._scored()]
        if any(torch._C._functorch.is_functorch_wrapped_tensor(scores) for scores in now):
            return  # inside a transform of torch.func the values cannot be looked at
        if len(now) != len(self._seen) or any(
            scores is not seen or scores._version != version
            for scores, (seen, version) in zip(now, self._seen, strict=True)
        ):
            self.select()

    @torch.no_grad()
    def select(self) -> None:
        """Set the masks of all members from their scores as they are now.

        Raises ArgumentError naming the layer when a score is NaN or infinite, or no float32.
        """
        members = self._scored()
        for scored in members:
            _check_scores(self.name, scored.scores)
        masks = select([_ranks(slot) for slot in self.slots], self.keep)
        for scored, mask in zip(members, masks, strict=True):
            scored.mask.copy_(mask)
        self._seen = [(scored.scores, scored.scores._version) for scored in members]

    def _scored(self) -> list[Scored]:
        return [scored for slot in self.slots if isinstance(scored := slot.masking, Scored)]


def _check_scores(name: str, scores: torch.Tensor) -> None:
    # An infinite score would tie with the rank of the entries outside the source.
    if scores.dtype != torch.float32:
        raise ArgumentError(
            f"{name}: scores must be float32, got {scores.dtype}: leave the model's type alone"
        )
    least, greatest = torch.aminmax(scores)
    if not bool(torch.isfinite(least) & torch.isfinite(greatest)):
        raise ArgumentError(f"{name}: scores must be finite numbers, got values from {least} to {greatest}")


def select(ranks: Sequence[torch.Tensor], keep: int) -> list[torch.Tensor]:
    """Masks of the `keep` greatest entries of all `ranks` together, each of its tensor's shape.

    The count is exact: ties at the threshold go to the lower index, in the order of the tensors and
    flat within each. The entries are numbers or -inf.
    """
    flat = ranks[0].reshape(-1) if len(ranks) == 1 else torch.cat([rank.reshape(-1) for rank in ranks])
    if flat.device.type == "cpu":
        # numpy's partition is vectorised; torch's kthvalue takes six times as long.
        mask = torch.from_numpy(top_k(flat.numpy(), keep))
    else:
        mask = _select_on_device(flat, keep)
    parts = torch.split(mask, [rank.numel() for rank in ranks])
    return [part.view(rank.shape) for part, rank in zip(parts, ranks, strict=True)]


def _select_on_device(flat: torch.Tensor, keep: int) -> torch.Tensor:
    """`top_k` without a copy to the host."""
    if keep <= 0:
        return torch.zeros_like(flat, dtype=torch.bool)
    cut = flat.topk(keep, sorted=False).values.min()
    above, tied = flat > cut, flat == cut
    return above | (tied & (tied.cumsum(0) <= keep - above.sum()))


def _ranks(slot: Slot) -> torch.Tensor:
    """What a slot's entries are ranked by: s or |s|, and -inf outside S_ER."""
    scored = slot.masking
    assert isinstance(scored, Scored)
    ranks = scored.scores.abs() if scored.absolute else scored.scores.detach()
    return ranks if slot.alive is None else torch.where(slot.alive, ranks, -torch.inf)
