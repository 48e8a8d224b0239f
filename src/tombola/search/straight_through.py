"""Scores and a threshold -> masked weight, with a straight-through gradient.

No mask is stored: the forward pass compares the scores with their threshold where it needs the mask, which
costs less than a boolean tensor's memory and no more time than reading one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
# Entries that are masked together: what is made of them fits a processor's caches.
_PART = 1 << 18


class Limit(NamedTuple):
    """Which entries of a tensor are kept: those that rank above `cut`, and of those equal to it all, or if it
    `splits` them those up to the flat index `last`.
    """

    cut: float | torch.Tensor
    last: int | torch.Tensor
    splits: bool


class StraightThrough(torch.autograd.Function):
    """(scores, weight, mask, alive, absolute, dtype) -> W ⊙ M, with ∂L/∂s = ∂L/∂(W ⊙ M) ⊙ W.

    The gradient reaches kept and pruned scores alike (Ramanujan et al. 2020, section 3; paper A), those
    outside S_ER never; with `absolute` it is multiplied by sign(s). All tensors have the weight's shape;
    `alive` may be None. The output is of type `dtype`, the product with the gradient float32.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(
        scores: torch.Tensor,
        weight: torch.Tensor,
        mask: torch.Tensor,
        alive: torch.Tensor | None,
        absolute: bool,
        dtype: torch.dtype,
    ) -> torch.Tensor:
        """W where kept, +0.0 where pruned."""
        return keep_only(weight, mask, dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        """Keep what the gradient needs: the weight, and the scores only for their sign."""
        scores, weight, _, alive, absolute, _ = inputs
        ctx.absolute = absolute
        ctx.save_for_backward(weight, alive, scores if absolute else None)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradient of the scores; nothing else has one."""
        weight, alive, scores = ctx.saved_tensors
        gradient = gradients[0] * weight  # float32, whatever came
        if ctx.absolute:
            gradient = gradient * scores.sign()
        if alive is not None:
            # Bits have no gradient, which a second derivative needs.
            if not torch.is_grad_enabled() and _is_plain(gradient, alive):
                gradient.view(_BITS[gradient.element_size()]).mul_(alive.view(torch.int8))
            else:
                gradient = torch.where(alive, gradient, 0.0)
        return gradient, None, None, None, None, None


class _Eager(torch.autograd.Function):
    """The same with a `Limit` in the place of the mask, which is made part by part, and without what
    torch.func needs: where there is a `setup_context` torch looks at the signature on every call, for 0.1 ms.
    """

    @staticmethod
    def forward(
        ctx: Any,
        scores: torch.Tensor,
        weight: torch.Tensor,
        limit: Limit,
        alive: torch.Tensor | None,
        absolute: bool,
        dtype: torch.dtype,
    ) -> torch.Tensor:
        """W where kept, +0.0 where pruned."""
        output = _masked_copy(ranks_of(scores, absolute), weight, limit, alive, dtype)
        StraightThrough.setup_context(ctx, (scores, weight, limit, alive, absolute, dtype), output)
        return output

    backward = StraightThrough.backward


def masked_weight(
    scores: torch.Tensor,
    weight: torch.Tensor,
    limit: Limit,
    alive: torch.Tensor | None,
    absolute: bool,
    dtype: torch.dtype,
) -> torch.Tensor:
    """`StraightThrough` by the shortest way."""
    # A transform of other tensors than these, of inputs say, still asks for a `setup_context`.
    if _is_plain(scores, weight) and not torch._C._are_functorch_transforms_active():
        masked: torch.Tensor = _Eager.apply(scores, weight, limit, alive, absolute, dtype)  # type: ignore[no-untyped-call]
    else:
        mask = kept(ranks_of(scores.detach(), absolute), limit, alive)
        masked = StraightThrough.apply(scores, weight, mask, alive, absolute, dtype)  # type: ignore[no-untyped-call]
    return masked


def kept(ranks: torch.Tensor, limit: Limit, alive: torch.Tensor | None) -> torch.Tensor:
    """The mask, of the ranks' shape: what is within `limit` and alive (None: all is)."""
    if limit.splits:
        index = torch.arange(ranks.numel(), device=ranks.device).view(ranks.shape)
        mask = (ranks > limit.cut) | ((ranks == limit.cut) & (index <= limit.last))
    elif isinstance(limit.cut, float) and ranks.dtype == torch.float32 and _is_plain(ranks):
        # numpy's comparison is vectorised, torch's is not; of a tensor without axes it makes no array.
        mask = torch.from_numpy(np.asarray(ranks.detach().numpy() >= np.float32(limit.cut)))
    else:
        mask = ranks >= limit.cut
    return mask if alive is None else mask & alive


def _masked_copy(
    ranks: torch.Tensor, weight: torch.Tensor, limit: Limit, alive: torch.Tensor | None, dtype: torch.dtype
) -> torch.Tensor:
    """`keep_only` of `kept`. Large tensors in parts, so that what is made in between stays in the caches."""
    small = limit.splits or weight.numel() <= _PART
    if small or not all(tensor is None or tensor.is_contiguous() for tensor in (ranks, weight, alive)):
        return _keep_bits(weight, kept(ranks, limit, alive), dtype)
    output = torch.empty_like(weight, dtype=dtype)
    for start in range(0, weight.numel(), _PART):
        part = slice(start, start + _PART)
        mask = kept(ranks.view(-1)[part], limit, None if alive is None else alive.view(-1)[part])
        output.view(-1)[part] = _keep_bits(weight.view(-1)[part], mask, dtype)
    return output


def ranks_of(scores: torch.Tensor, absolute: bool) -> torch.Tensor:
    """What scores are ranked by."""
    return scores.abs() if absolute else scores


def keep_only(weight: torch.Tensor, mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """`weight` as `dtype` where `mask` is true, +0.0 elsewhere (a product would leave -0.0)."""
    if _is_plain(weight, mask):
        return _keep_bits(weight, mask, dtype)
    return torch.where(mask, weight, 0.0).to(dtype)


def _keep_bits(weight: torch.Tensor, mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    # Bits times 0 or 1 as integers: on CPUs `where` is not vectorised and takes ten times as long.
    cast = weight.to(dtype)
    bits, ones = cast.view(_BITS[cast.element_size()]), mask.view(torch.int8)
    return (bits * ones if cast is weight else bits.mul_(ones)).view(dtype)


def is_transformed(*tensors: torch.Tensor) -> bool:
    """Whether one is seen from inside a transform of torch.func, where its values cannot be looked at."""
    return any(torch._C._functorch.is_functorch_wrapped_tensor(tensor) for tensor in tensors)


def _is_plain(*tensors: torch.Tensor) -> bool:
    """Whether the tensors' memory can be read here and now."""
    recorded = torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None
    return not recorded and all(tensor.is_cpu for tensor in tensors) and not is_transformed(*tensors)
