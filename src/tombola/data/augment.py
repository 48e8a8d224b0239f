"""Random crop and flip of whole batches, as uint8, in a few lines of torch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from tombola.errors import ArgumentError


@dataclass(frozen=True)
class Augmentation:
    """Pad by `pad` black pixels on every side, crop the old size anywhere, mirror half if `flip`.

    Raises ArgumentError for a pad that is not an integer in [0, 256].
    """

    pad: int
    flip: bool

    def __post_init__(self) -> None:
        # At most 256 keeps a crop's 2 * pad + 1 offsets within what Stream.integers draws fairly.
        if isinstance(self.pad, bool) or not isinstance(self.pad, int) or not 0 <= self.pad <= 256:
            raise ArgumentError(f"pad must be an integer in [0, 256], got {self.pad!r}")


def crop_and_flip(
    images: torch.Tensor, pad: int, offsets_y: torch.Tensor, offsets_x: torch.Tensor, flips: torch.Tensor
) -> torch.Tensor:
    """Every image padded with zeros, cropped back to its size at its own offset, then mirrored or not.

    `images` has shape (N, H, W, C); `offsets_y` and `offsets_x` are int64 of shape (N,), in
    [0, 2 * pad] (not checked: that would wait for a GPU), pad, pad being the middle; `flips` is bool
    of shape (N,), True for an image mirrored left to right. Returns new images of the same shape.
    """
    n, height, width, channels = images.shape
    if n == 0:
        return images.clone()
    each = torch.arange(n, device=images.device)
    padded = F.pad(images, (0, 0, pad, pad, pad, pad)).reshape(-1)
    # A row of a crop is width * channels consecutive bytes, so a batch of crops is one selection among
    # all such runs (a view, one run per pixel). Of 20 formulations measured for 128 images of
    # 32×32×3 on two cores the fastest, 0.28 ms: index by unfolded windows 0.85, gathered pixels
    # 0.6 to 1.0, numpy's sliding windows 0.7, a loop over images 0.5 (numpy) to 1.9 (torch).
    runs = padded.unfold(0, width * channels, channels)
    rows = (each * (height + 2 * pad) + offsets_y)[:, None] + torch.arange(height, device=images.device)
    first = rows * (width + 2 * pad) + offsets_x[:, None]
    crops = runs.index_select(0, first.view(-1)).view(images.shape)
    # Picking from both versions is several times as fast as `where`, and never waits for the device.
    both = torch.cat((crops, crops.flip(2))).view(2 * n, -1)
    return both.index_select(0, each + n * flips).view(images.shape)
