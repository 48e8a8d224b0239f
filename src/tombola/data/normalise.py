"""uint8 images (or a table's rows) to what a model gets: float32, normalised, in its memory layout."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tombola.errors import ArgumentError


class Normalise:
    """(N, H, W, C) as stored to (N, C, H, W), (value / full - mean) / std of each channel.

    `shape` is (H, W, C) of one image, `full` the value that counts as 1. The result lies in torch's
    channels-last layout if `channels_last`. Raises ArgumentError for `mean` or `std` that do not fit the
    channels.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        mean: Sequence[float],
        std: Sequence[float],
        *,
        full: float,
        channels_last: bool,
        device: torch.device | str,
    ) -> None:
        channels = shape[2]
        if len(mean) != channels or len(std) != channels or not all(s > 0 for s in std):
            raise ArgumentError(
                f"mean and std (> 0) must be of {channels} channels, got {tuple(mean)} and {tuple(std)}"
            )
        self.channels_last = channels_last
        # A vector of a whole image, not of its few channels: the innermost loop is then long enough to
        # vectorise, which makes it several times as fast in the channels-last layout.
        pixels = shape[0] * shape[1]
        scale = torch.tensor([1 / (full * s) for s in std], dtype=torch.float32)
        shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], dtype=torch.float32)
        if channels_last:
            scale, shift = scale.repeat(pixels), shift.repeat(pixels)
        else:
            scale, shift = scale.repeat_interleave(pixels), shift.repeat_interleave(pixels)
        self._scale, self._shift = scale.to(device), shift.to(device)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """The images of one batch, on the device of this object."""
        laid = images if self.channels_last else images.permute(0, 3, 1, 2).contiguous()
        values = laid.flatten(1).float()
        # Into the copy that a cast has made; a table's float32 rows are the data set's own.
        out = values if images.dtype != torch.float32 else torch.empty_like(values)
        torch.addcmul(self._shift, values, self._scale, out=out)
        x = out.view(laid.shape)
        return x.permute(0, 3, 1, 2) if self.channels_last else x
