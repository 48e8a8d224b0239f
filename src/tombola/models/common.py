"""What the families share: checked arguments, scaled widths, the average over positions."""

from __future__ import annotations

import math
from numbers import Integral, Real

from torch import Tensor, nn

from tombola.errors import ArgumentError


def scaled(channels: int, width: float) -> int:
    """`channels` times `width`, rounded by Python's `round` (halves to even), at least 1.

    >>> [scaled(64, width) for width in (1.0, 0.25, 0.001)]
    [64, 16, 1]
    """
    return max(1, round(channels * width))


def check_width(model: str, width: float) -> None:
    """Raise ArgumentError, in the name of `model`, unless `width` is a finite number above 0."""
    number = isinstance(width, Real) and not isinstance(width, bool)
    if not number or not math.isfinite(width) or width <= 0:
        raise ArgumentError(f"{model}: width must be a finite number above 0, got {width!r}")


def check_count(model: str, what: str, value: int) -> None:
    """Raise ArgumentError, in the name of `model`, unless `value` is a whole number of at least 1."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ArgumentError(f"{model}: {what} must be a whole number of at least 1, got {value!r}")


def check_arguments(
    model: str, width: float, in_channels: int, classes: int, image_size: int, *, halvings: int = 0
) -> None:
    """Raise ArgumentError unless a network named `model` can be built with these arguments.

    `halvings` is the number of 2×2 poolings, each of which rounds the image's side down: the last one must
    still find two pixels, so `image_size` must be at least 2^halvings. Stages with stride 2 count as such,
    though they round up.
    """
    check_width(model, width)
    check_count(model, "in_channels", in_channels)
    check_count(model, "classes", classes)
    check_count(model, "image_size", image_size)
    if image_size < 2**halvings:
        times = "once" if halvings == 1 else f"{halvings} times"
        raise ArgumentError(
            f"{model} halves the image {times}: image_size must be at least {2**halvings}, got {image_size}"
        )


class GlobalAverage(nn.Module):
    """The mean over all positions: (N, channels, height, width) -> (N, channels).

    A plain mean rather than `AdaptiveAvgPool2d`, which torch lists among the operations whose backward
    pass has no deterministic form on a GPU.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Average `x` over its last two dimensions."""
        return x.mean(dim=(2, 3))
