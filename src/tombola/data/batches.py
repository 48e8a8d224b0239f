"""Batches of one split: drawn by name and epoch, augmented, normalised, on the device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from tombola.data.augment import Augmentation, crop_and_flip
from tombola.data.loader import WHOLE, Batch, Share
from tombola.data.normalise import Normalise
from tombola.errors import ArgumentError
from tombola.rng import Stream, check_seed

if TYPE_CHECKING:
    from tombola.data.dataset import Split


class Batches:
    """The batches of `split`, epoch after epoch; the whole split is kept on `device`.

    A batch is (x, y): x float32 of shape (B, C, H, W), (pixel / 255 - mean) / std per channel (of a
    table's rows (feature - mean) / std), in torch's channels-last layout if `channels_last`; y int64 of
    shape (B,). With `shuffle`, epoch e goes through the images in the order that (seed, e) draws, augmented
    if `augmentation` is given; without, in their own order and never augmented (validation, test). The
    last batch may be smaller, unless `drop_last` leaves it out. `share` is this process's part of each.

    Raises ArgumentError for a batch size below 1, for `mean` or `std` that do not fit the channels,
    for an invalid seed, and where `drop_last` would leave no batch at all or a process would get nothing.
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        device: torch.device | str = "cpu",
        seed: int = 0,
        augmentation: Augmentation | None = None,
        shuffle: bool = False,
        drop_last: bool = False,
        channels_last: bool = False,
        share: Share = WHOLE,
    ) -> None:
        _, height, width, channels = split.images.shape
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ArgumentError(f"batch_size must be an integer of at least 1, got {batch_size!r}")
        if drop_last and 0 < len(split) < batch_size:
            raise ArgumentError(f"drop_last leaves no batch of {batch_size} out of {len(split)} images")
        if shuffle:
            share.check(min(batch_size, len(split)))
        self.batch_size, self.seed, self.share = batch_size, check_seed(seed), share
        self.augmentation = augmentation if shuffle else None
        self.shuffle, self.drop_last, self.channels_last = shuffle, drop_last, channels_last
        self._images = split.images.to(device).contiguous()
        self._labels = split.labels.to(device)
        self._normalise = Normalise(
            (height, width, channels),
            mean,
            std,
            full=split.full,
            channels_last=channels_last,
            device=self._images.device,
        )

    def __len__(self) -> int:
        """Batches an epoch."""
        whole, rest = divmod(len(self._labels), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def size(self, step: int) -> int:
        """Examples in batch number `step`, all processes' together."""
        return min(self.batch_size, len(self._labels) - step * self.batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of `epoch` (0, 1, …) from number `start` on, exactly as if none were skipped.

        Raises ArgumentError for a negative epoch and for a start outside [0, len(self)].
        """
        if epoch < 0 or not 0 <= start <= len(self):
            raise ArgumentError(f"no batch {start} in epoch {epoch}: an epoch has {len(self)} batches")
        return self._run(epoch, start)

    def _run(self, epoch: int, start: int) -> Iterator[Batch]:
        n, augmentation = len(self._labels), self.augmentation
        order = self._put(self._stream("order", epoch).permutation(n)) if self.shuffle else None
        if augmentation is not None:
            # For the whole epoch at once, so that an image's draw depends on its position alone.
            ys, xs, flips = (self._put(draws) for draws in self._draw(augmentation, epoch))
        for step in range(start, len(self)):
            first = step * self.batch_size
            here = self.share.of(first, first + self.size(step))
            if order is None:
                images, labels = self._images[here], self._labels[here]
            else:
                images = self._images.index_select(0, order[here])
                labels = self._labels.index_select(0, order[here])
            if augmentation is not None:
                images = crop_and_flip(images, augmentation.pad, ys[here], xs[here], flips[here])
            yield self._normalise(images), labels

    def _draw(self, augmentation: Augmentation, epoch: int) -> Iterator[npt.NDArray[np.generic]]:
        """Crop offsets down and right, and flips, of every position of the epoch."""
        n, places = len(self._labels), 2 * augmentation.pad + 1
        yield self._stream("crop-y", epoch).integers(n, places)
        yield self._stream("crop-x", epoch).integers(n, places)
        yield self._stream("flip", epoch).bernoulli(n, 0.5 if augmentation.flip else 0.0)

    def _stream(self, purpose: str, epoch: int) -> Stream:
        return Stream(self.seed, "data", purpose, epoch)

    def _put(self, array: npt.NDArray[np.generic]) -> torch.Tensor:
        return torch.from_numpy(array).to(self._images.device)
