"""What the training loop asks of data, wherever they lie: batches by number, of each this process's share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from tombola.errors import ArgumentError

Batch = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Share:
    """What process `rank` of `count` gets of every batch: a run of it, as long as the others' or one longer.

    Raises ArgumentError unless 0 <= rank < count.
    """

    rank: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.count:
            raise ArgumentError(
                f"rank must be in [0, {self.count}), the number of processes, got {self.rank}"
            )

    def check(self, size: int) -> None:
        """Raise ArgumentError if batches of `size` examples leave a process without one."""
        if size < self.count:
            raise ArgumentError(f"a batch of {size} examples cannot be shared by {self.count} processes")

    def of(self, first: int, last: int) -> slice:
        """Its part of the positions from `first` to before `last`."""
        size = last - first
        return slice(first + size * self.rank // self.count, first + size * (self.rank + 1) // self.count)


WHOLE = Share()


class Loader(Protocol):
    """The batches of a split, epoch after epoch."""

    def __len__(self) -> int:
        """Batches an epoch."""
        ...

    def size(self, step: int) -> int:
        """Examples in batch number `step`, all processes' together."""
        ...

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """This process's share of the batches of `epoch` (0, 1, …) from number `start` on, exactly as if none
        were skipped, and the same examples in the same batches whatever the number of processes.
        """
        ...


class SplitLike(Protocol):
    """A split whose labels are known, int64 of shape (N,), wherever its images are."""

    @property
    def labels(self) -> torch.Tensor:
        """The label of every example, in the split's own order."""
        ...

    def __len__(self) -> int: ...


class DatasetLike(Protocol):
    """A data set as the training loop sees it. `Dataset` is one that lies in memory."""

    @property
    def name(self) -> str:
        """What records call it."""
        ...

    @property
    def train(self) -> SplitLike:
        """What is trained on."""
        ...

    @property
    def validation(self) -> SplitLike:
        """Held out of the training data; may be empty."""
        ...

    @property
    def test(self) -> SplitLike:
        """For the one final figure."""
        ...

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, by label."""
        ...

    @property
    def mean(self) -> tuple[float, ...]:
        """Of each channel, in units of [0, 1]."""
        ...

    @property
    def std(self) -> tuple[float, ...]:
        """Of each channel, in units of [0, 1]."""
        ...

    @property
    def in_channels(self) -> int:
        """Channels of an image."""
        ...

    @property
    def classes(self) -> int:
        """The number of classes."""
        ...

    @property
    def image_size(self) -> int:
        """Height, and width, of what a model gets, in pixels."""
        ...

    def fingerprint(self) -> str:
        """32 hex digits that tell the data from any others."""
        ...

    def training(self, batch_size: int, *, seed: int, augment: bool = True, **placing: Any) -> Loader:
        """The training split in an order drawn from (seed, epoch), without a last batch that is not full
        unless it is the only one. `augment`: as is customary for the data. `placing`: device, channels_last,
        share, as in `Batches`.
        """
        ...

    def evaluation(self, split: SplitLike, batch_size: int, **placing: Any) -> Loader:
        """A split of this data set, whole and in its own order."""
        ...

    def examples(self, indices: list[int]) -> Any:
        """Some test images as uint8 (or a table's float32), of shape (N, H, W, C)."""
        ...
