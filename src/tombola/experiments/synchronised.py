"""Batch normalisation over the whole batch of a run, however many processes share it.

With the statistics of each process's own part a network would depend on the number of processes, and so
would its ticket. torch's SyncBatchNorm does the same, on GPUs only.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase


def synchronise_batch_norm(model: nn.Module) -> None:
    """Let every batch normalisation in `model` take the mean and variance of all processes' examples."""
    for module in model.modules():
        if type(module) in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d):
            # The module stays the one that the model knows, with its hooks and its names.
            module.__class__ = SynchronisedBatchNorm


def own_statistics(model: nn.Module) -> list[torch.Tensor]:
    """The running statistics that each process takes of its own part of a batch: those of normalisations that
    `synchronise_batch_norm` leaves alone.
    """
    layers = (module for module in model.modules() if isinstance(module, _NormBase))
    return [
        buffer
        for layer in layers
        if not isinstance(layer, SynchronisedBatchNorm)
        for buffer in (layer.running_mean, layer.running_var)
        if buffer is not None
    ]


def needs_whole_batches(model: nn.Module) -> bool:
    """Whether a batch normalisation of `model` keeps no statistics: then it takes those of the batch in
    evaluation, too, and every process has to see the whole of it.
    """
    return any(isinstance(module, _BatchNorm) and module.running_mean is None for module in model.modules())


class SynchronisedBatchNorm(_BatchNorm):
    """A BatchNorm1d, 2d or 3d whose training statistics are those of all processes' examples together."""

    def _check_input_dim(self, input: torch.Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"expected at least 2 dimensions, got {input.ndim}")

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Input of shape (B, C, …), normalised for each of the C channels."""
        if not self.training:
            return super().forward(input)
        self._check_input_dim(input)
        output: torch.Tensor
        with torch.autocast(input.device.type, enabled=False):
            mean, variance, count = _statistics(input.detach())
            if self.track_running_stats:
                self._follow(mean, variance, count)
            # The kernels want parameters of the statistics' type, whatever that of the model is.
            weight, bias = (None if p is None else p.to(mean.dtype) for p in (self.weight, self.bias))
            output = _Normalised.apply(  # type: ignore[no-untyped-call]
                input, weight, bias, mean, variance, count, self.eps
            )
        return output

    @torch.no_grad()
    def _follow(self, mean: torch.Tensor, variance: torch.Tensor, count: torch.Tensor) -> None:
        """The running statistics, as torch has them: of the unbiased variance."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        rate = self.momentum if self.momentum is not None else 1.0 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean.to(self.running_mean), rate)
        self.running_var.lerp_((variance * (count / (count - 1))).to(self.running_var), rate)


def _statistics(mine: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean and variance (biased) of each channel over all processes, and the number of values per channel.

    By one exchange: the spread of the processes' means is added to the mean of their variances, which keeps
    the digits that a mean of squares less the square of the mean would lose.
    """
    channels = mine.shape[1]
    kept = mine.new_zeros(2, channels, dtype=torch.float64 if mine.dtype == torch.float64 else torch.float32)
    if mine.numel():
        # torch's own kernel of a training step; the running statistics only tell it the type of its results.
        mean, variance = torch.batch_norm_update_stats(mine, kept[0], kept[1], 0.0)
    else:  # this process has none of a last batch
        mean, variance = kept
    part = torch.cat((mean, variance, mean.new_tensor([mine.numel() / channels])))
    gathered = [torch.empty_like(part) for _ in range(dist.get_world_size())]
    dist.all_gather(gathered, part)
    parts = torch.stack(gathered)
    means, variances, counts = parts[:, :channels], parts[:, channels:-1], parts[:, -1:]
    count = counts.sum()
    mean = means[0] + ((means - means[0]) * counts).sum(0) / count
    variance = ((variances + (means - mean).square()) * counts).sum(0) / count
    return mean, variance, count


class _Normalised(torch.autograd.Function):
    """Normalised by the statistics of all processes, with the gradient through them, by torch's own kernels.

    Every process's loss depends on each one's part through the statistics, so that the two sums of the
    gradient are over all processes, too (Ioffe and Szegedy 2015, section 3).
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor | None,
        bias: torch.Tensor | None,
        mean: torch.Tensor,
        variance: torch.Tensor,
        count: torch.Tensor,
        eps: float,
    ) -> torch.Tensor:
        ctx.save_for_backward(x, weight, bias, mean, variance, count)
        ctx.eps = eps
        return F.batch_norm(x, mean, variance, weight, bias, eps=eps)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight, bias, mean, variance, count = ctx.saved_tensors
        upstream, needs, nothing = gradients[0], ctx.needs_input_grad[:3], (None,) * 4
        if torch.is_grad_enabled():  # a gradient of this gradient will be taken
            inputs = [tensor for tensor, needed in zip((x, weight, bias), needs, strict=True) if needed]
            with torch.autocast(x.device.type, enabled=False):
                output = _composed(x, weight, bias, ctx.eps)
            found = iter(torch.autograd.grad(output, inputs, upstream, create_graph=True))
            return (*(next(found) if needed else None for needed in needs), *nothing)
        scale = torch.rsqrt(variance + ctx.eps)
        alone, along, total = _of_own_part(upstream, x, weight, mean, scale, ctx.eps)
        mine = torch.stack((along, total)).to(mean.dtype)
        sums = mine.clone()
        dist.all_reduce(sums)
        if x.numel():
            # dx = scale · weight · (dy - the mean of dy - x̂ · the mean of x̂ · dy), x̂ = (x - mean) · scale.
            # `alone` has the means of this process's part. What they lack is small beside it: in half
            # precision a difference of large numbers, each of them rounded, would not be.
            lacking = mine * x.shape[1] / x.numel() - sums / count
            lacking *= scale if weight is None else scale * weight
            alone.add_(F.batch_norm(x, mean, variance, lacking[0], lacking[1], eps=ctx.eps))
        return (
            alone,
            None if weight is None else along,
            None if bias is None else total,
            *nothing,
        )


def _of_own_part(
    upstream: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor | None,
    mean: torch.Tensor,
    scale: torch.Tensor,
    eps: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients of input, weight and bias, were this process's part the whole batch: the last two are its
    sums of the gradient along x̂ and of the gradient itself.
    """
    if not x.numel():
        return upstream, torch.zeros_like(mean), torch.zeros_like(mean)
    weight = torch.ones_like(mean) if weight is None else weight
    found: tuple[torch.Tensor, torch.Tensor, torch.Tensor] = torch.ops.aten.native_batch_norm_backward(
        upstream, x, weight, None, None, mean, scale, True, eps, [True] * 3
    )
    return found


def _composed(
    x: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None, eps: float
) -> torch.Tensor:
    """What `_Normalised` computes, of operations that have gradients of every order."""
    over = [axis for axis in range(x.ndim) if axis != 1]
    shape = [-1 if axis == 1 else 1 for axis in range(x.ndim)]
    values = x if x.dtype == torch.float64 else x.float()
    total = _total(torch.cat((values.sum(over), values.new_tensor([values.numel() / values.shape[1]]))))
    count = total[-1].detach()
    centred = values - (total[:-1] / count).view(shape)
    variance = _total(centred.square().sum(over)) / count
    output = centred * torch.rsqrt(variance + eps).view(shape)
    if weight is not None:
        output = output * weight.view(shape)
    if bias is not None:
        output = output + bias.view(shape)
    return output.to(x.dtype)


class _Total(torch.autograd.Function):
    """Sum over all processes; so is its gradient, for every process's loss depends on each one's part."""

    @staticmethod
    def forward(ctx: Any, mine: torch.Tensor) -> torch.Tensor:
        total = mine.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return _total(gradients[0].contiguous())  # which has a gradient in its turn: GraSP takes it


def _total(mine: torch.Tensor) -> torch.Tensor:
    total: torch.Tensor = _Total.apply(mine)  # type: ignore[no-untyped-call]
    return total
