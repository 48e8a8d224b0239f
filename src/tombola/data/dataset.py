"""What a data set is: three splits of images in memory, and what the training loop must know of them."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tombola.data.augment import Augmentation
from tombola.data.batches import Batches
from tombola.data.loader import SplitLike
from tombola.data.split import hold_out_validation
from tombola.errors import ArgumentError

_BLOCK = 256  # images per histogram: within the cache, six times faster than all at once


@dataclass(frozen=True)
class Split:
    """Images, or rows of a table, and their labels.

    `images` is uint8 of shape (N, H, W, C), channels last in memory, or float32 of shape (N, 1, 1, F), a
    row of F features each; `labels` is int64 of shape (N,). Raises ArgumentError for other types or
    shapes, and for features that are not finite.
    """

    images: torch.Tensor
    labels: torch.Tensor

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        row = images.dtype == torch.float32 and images.ndim == 4 and images.shape[1:3] == (1, 1)
        if not row and (images.dtype != torch.uint8 or images.ndim != 4):
            raise ArgumentError(
                "images must be uint8 of shape (N, H, W, C), and rows of a table float32 of shape "
                f"(N, 1, 1, F), got {images.dtype} {tuple(images.shape)}"
            )
        if row and not images.isfinite().all():
            raise ArgumentError("a table's features must be finite numbers")
        if labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
            raise ArgumentError(
                f"labels must be int64 of shape ({len(images)},), got {labels.dtype} {tuple(labels.shape)}"
            )

    @property
    def full(self) -> float:
        """The value that normalisation counts as 1: white, or a table's own unit."""
        return 255.0 if self.images.dtype == torch.uint8 else 1.0

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        kind = str(self.images.dtype).removeprefix("torch.")
        return f"Split({len(self):,} of {kind} {tuple(self.images.shape[1:])})"


@dataclass(frozen=True)
class Dataset:
    """A named data set of square images, or of a table's rows.

    `validation` is held out of the training images (empty when nothing is held out); `test` is kept
    for the one final figure. `mean` and `std` are per channel, of the pixels of `train` alone, in
    units of [0, 1] (of a table: per feature, in its own units). `augmentation` is the customary one for
    training, None for none.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augmentation: Augmentation | None

    def fingerprint(self) -> str:
        """32 hex digits that tell the images and labels of all splits from any others."""
        digest = hashlib.blake2b(digest_size=16)
        for split in (self.train, self.validation, self.test):
            digest.update(f"{tuple(split.images.shape)}".encode())
            digest.update(split.images.cpu().contiguous().numpy().data)
            digest.update(split.labels.cpu().contiguous().numpy().data)
        return digest.hexdigest()

    def training(self, batch_size: int, *, seed: int, augment: bool = True, **placing: Any) -> Batches:
        """The training split in orders drawn from the seed, without the last batch where it is not full.

        `augment`: by this data set's `augmentation`, where it has one; False: images as they are.
        `placing`: device, channels_last and share, as in `Batches`, which says what is raised.
        """
        return Batches(
            self.train,
            batch_size,
            mean=self.mean,
            std=self.std,
            seed=seed,
            augmentation=self.augmentation if augment else None,
            shuffle=True,
            drop_last=len(self.train) >= batch_size,
            **placing,
        )

    def evaluation(self, split: SplitLike, batch_size: int, **placing: Any) -> Batches:
        """A split of this data set, whole and in its own order."""
        assert isinstance(split, Split)
        return Batches(split, batch_size, mean=self.mean, std=self.std, **placing)

    def examples(self, indices: list[int]) -> npt.NDArray[np.generic]:
        """Some test images, or rows, as they are stored: (N, H, W, C)."""
        images: npt.NDArray[np.generic] = self.test.images[indices].cpu().numpy()
        return images

    @property
    def in_channels(self) -> int:
        """Channels of an image: 1 (grey) or 3 (RGB)."""
        return self.train.images.shape[3]

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    @property
    def image_size(self) -> int:
        """Height, and width, of an image in pixels."""
        return self.train.images.shape[1]


@dataclass(frozen=True)
class Arrays:
    """A split before it is a tensor: `images` as in `Split`, `labels` int64 (N,)."""

    images: npt.NDArray[np.uint8] | npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]

    def take(self, indices: npt.NDArray[np.int64]) -> Arrays:
        """The rows at `indices`, in their order."""
        return Arrays(self.images[indices], self.labels[indices])

    def split(self) -> Split:
        """The same memory as tensors."""
        return Split(torch.from_numpy(self.images), torch.from_numpy(self.labels))


def assemble(
    name: str,
    train: Arrays,
    test: Arrays,
    class_names: tuple[str, ...],
    *,
    augmentation: Augmentation | None,
    seed: int,
    validation: float,
) -> Dataset:
    """Hold the fraction `validation` out of `train` (class by class) and measure the rest.

    Raises ArgumentError for a fraction outside [0, 1), one that leaves nothing to train on, or one above
    0 that holds nothing out.
    """
    kept, held = hold_out_validation(train.labels, validation, seed, name)
    rest = train.take(kept) if len(held) else train
    mean, std = moments(rest.images)
    return Dataset(
        name, rest.split(), train.take(held).split(), test.split(), class_names, mean, std, augmentation
    )


def moments(
    images: npt.NDArray[np.uint8] | npt.NDArray[np.float32],
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of (N, H, W, C) images, N >= 1, in units of [0, 1], or of
    each feature of a table, in its own.

    Exact sums up to one division and one root, so they are the same on every machine. A
    channel of one value has no spread to divide by: its deviation is given as 1.
    """
    if images.dtype != np.uint8:
        features = [_moments_of_feature(column) for column in images.reshape(len(images), -1).T]
        return tuple(mean for mean, _ in features), tuple(std for _, std in features)
    histogram = np.zeros((images.shape[3], 256), dtype=np.int64)
    for first in range(0, len(images), _BLOCK):
        for channel, counts in enumerate(histogram):
            pixels = images[first : first + _BLOCK, :, :, channel].ravel()
            np.add(counts, np.bincount(pixels, minlength=256), out=counts)
    pairs = [_moments_of(counts) for counts in histogram.tolist()]
    return tuple(mean for mean, _ in pairs), tuple(std for _, std in pairs)


def _moments_of_feature(column: npt.NDArray[Any]) -> tuple[float, float]:
    values = [float(value) for value in column]
    mean = math.fsum(values) / len(values)
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values)) or 1.0


def _moments_of(counts: list[int]) -> tuple[float, float]:
    """Mean and deviation of values 0 … 255 that occur `counts` times, over 255."""
    n = sum(counts)
    total = sum(value * count for value, count in enumerate(counts))
    squares = sum(value * value * count for value, count in enumerate(counts))
    # n * squares - total² is n² times the variance, without a rounding: Python's integers are exact.
    spread = n * squares - total * total
    return total / (n * 255), math.sqrt(spread / (n * n * 255 * 255)) if spread else 1.0
