"""A data set whose images stay where they are until they are needed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tombola.data.loader import SplitLike
from tombola.data.split import hold_out_validation
from tombola.data.streaming.batches import StreamedBatches
from tombola.data.streaming.decoding import Task, decode_task
from tombola.data.streaming.images import Images, Rows
from tombola.data.streaming.workers import check_workers
from tombola.errors import ArgumentError

# What is customary for ImageNet, and for what is trained on it, in units of [0, 1].
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
IMAGE_SIZE = 224
LARGEST = 4096  # pixels: beyond this it is a slip of the pen, and a batch would fill the memory


@dataclass(frozen=True, eq=False)
class StreamedSplit:
    """Some `rows` of `images`, sorted."""

    images: Images
    rows: Rows

    @cached_property
    def labels(self) -> torch.Tensor:
        """The label of every row, int64 of shape (N,)."""
        return torch.from_numpy(self.images.labels[self.rows])

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, eq=False)
class StreamedDataset:
    """A named data set of RGB images of any sizes, shown as `image_size` × `image_size` pixels.

    `validation` is held out of the training images; `mean` and `std` are ImageNet's. `workers` is the number
    of processes that decode images, None for one less than the cores. `StreamedBatches` says what images
    become and what is raised.
    """

    name: str
    train: StreamedSplit
    validation: StreamedSplit
    test: StreamedSplit
    class_names: tuple[str, ...]
    image_size: int = IMAGE_SIZE
    workers: int | None = None
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD

    def __post_init__(self) -> None:
        if isinstance(self.image_size, bool) or not 1 <= self.image_size <= LARGEST:
            raise ArgumentError(f"image_size must be in [1, {LARGEST}] pixels, got {self.image_size!r}")
        check_workers(self.workers)

    @property
    def in_channels(self) -> int:
        """3: red, green, blue."""
        return 3

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    def fingerprint(self) -> str:
        """32 hex digits that tell the names, sizes and labels of all images, and how they are split, from any
        others: the images themselves are not read for it.
        """
        digest = hashlib.blake2b(digest_size=16)
        for split in (self.train, self.validation, self.test):
            digest.update(split.images.fingerprint())
            digest.update(np.ascontiguousarray(split.rows).data)
        return digest.hexdigest()

    def training(
        self, batch_size: int, *, seed: int, augment: bool = True, **placing: Any
    ) -> StreamedBatches:
        """The training split in orders drawn from the seed, without the last batch where it is not full.

        `augment`: random crops, half of them mirrored; False: the central ones.
        `placing`: device, channels_last and share, as in `StreamedBatches`, which says what is raised.
        """
        return StreamedBatches(
            self.train,
            batch_size,
            **self._looks(),
            seed=seed,
            augment=augment,
            shuffle=True,
            **placing,
        )

    def evaluation(self, split: SplitLike, batch_size: int, **placing: Any) -> StreamedBatches:
        """A split of this data set, whole and in its own order, each image by its central crop."""
        assert isinstance(split, StreamedSplit)
        return StreamedBatches(split, batch_size, **self._looks(), **placing)

    def examples(self, indices: list[int]) -> npt.NDArray[np.uint8]:
        """Some test images by their central crops: (N, image_size, image_size, 3)."""
        cells = tuple(self.test.images.cells(self.test.rows[indices]))
        images: npt.NDArray[np.uint8] = decode_task(Task(cells, self.image_size, None)).numpy()
        return images

    def _looks(self) -> dict[str, Any]:
        return {"size": self.image_size, "mean": self.mean, "std": self.std, "workers": self.workers}


def split_up(
    name: str,
    train: Images,
    test: Images,
    class_names: tuple[str, ...],
    *,
    seed: int,
    validation: float,
    image_size: int,
    workers: int | None,
) -> StreamedDataset:
    """Hold the fraction `validation` out of `train`, class by class and by the labels alone.

    Raises ArgumentError for a fraction outside [0, 1), one that leaves nothing to train on, or one above 0
    that holds nothing out, and what `StreamedDataset` raises.
    """
    kept, held = hold_out_validation(train.labels, validation, seed, name)
    every = np.arange(len(test.labels), dtype=np.int64)
    splits = StreamedSplit(train, kept), StreamedSplit(train, held), StreamedSplit(test, every)
    return StreamedDataset(name, *splits, class_names, image_size, workers)
