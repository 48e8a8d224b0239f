"""Batch normalisation over the whole batch of a run, however many processes share it.

With the statistics of each process's own part a network would depend on the number of processes, and so
would its ticket. torch's SyncBatchNorm does the same, on GPUs only.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
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
        over = [axis for axis in range(input.ndim) if axis != 1]
        shape = [-1 if axis == 1 else 1 for axis in range(input.ndim)]
        with torch.autocast(input.device.type, enabled=False):
            values = input.float()
            mine = torch.cat((values.sum(over), values.new_tensor([values.numel() / values.shape[1]])))
            total = _total(mine)
            count = total[-1].detach()
            mean = total[:-1] / count
            centred = values - mean.view(shape)
            # Of what is centred already: a mean of squares less the square of the mean would lose digits.
            variance = _total(centred.square().sum(over)) / count
            if self.track_running_stats:
                self._follow(mean.detach(), variance.detach(), count)
            scale = torch.rsqrt(variance + self.eps)
            if self.affine:
                scale = scale * self.weight
            output = centred * scale.view(shape)
            if self.affine:
                output = output + self.bias.view(shape)
        return output.to(input.dtype)

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
