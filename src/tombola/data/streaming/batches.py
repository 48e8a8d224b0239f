"""Batches of a streamed split: drawn by seed and epoch, decoded by workers, normalised on the device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch

from tombola.data.crops import WORDS
from tombola.data.loader import WHOLE, Batch, Share
from tombola.data.normalise import Normalise
from tombola.data.streaming.decoding import Task
from tombola.data.streaming.images import Rows
from tombola.data.streaming.workers import check_workers, decoded
from tombola.errors import ArgumentError
from tombola.rng import Stream, check_seed

if TYPE_CHECKING:
    from tombola.data.streaming.dataset import StreamedSplit

# Images a task: enough that handing them over costs nothing, few enough that the first batch of an epoch, and
# the memory that two tasks a worker take, stay small.
_CHUNK = 32


class StreamedBatches:
    """The batches of `split`, epoch after epoch, as `Batches` has them, of images of `size` × `size` pixels.

    With `shuffle`, epoch e goes through the images in the order that (seed, e) draws, without a last batch
    that is not full unless it is the only one; with `augment` each is
    a random crop, half of them mirrored, by words that (seed, e, the position in the epoch) draw; otherwise
    the central crop. Neither order nor images depend on the number of `workers` or of processes.

    Raises ArgumentError as `Batches` does, and for `workers` below 0; while batches are made, DataError for
    an image that cannot be decoded.
    """

    def __init__(
        self,
        split: StreamedSplit,
        batch_size: int,
        *,
        size: int,
        mean: Sequence[float],
        std: Sequence[float],
        workers: int | None = None,
        device: torch.device | str = "cpu",
        seed: int = 0,
        augment: bool = False,
        shuffle: bool = False,
        channels_last: bool = False,
        share: Share = WHOLE,
    ) -> None:
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ArgumentError(f"batch_size must be an integer of at least 1, got {batch_size!r}")
        if shuffle:
            share.check(min(batch_size, len(split)))
        self.split, self.batch_size, self.image_size = split, batch_size, size
        self.seed, self.share, self.workers = check_seed(seed), share, check_workers(workers)
        self.augment, self.shuffle = augment and shuffle, shuffle
        self.drop_last = shuffle and len(split) >= batch_size
        self.device = torch.device(device)
        self._normalise = Normalise(
            (size, size, 3), mean, std, full=255.0, channels_last=channels_last, device=self.device
        )

    def __len__(self) -> int:
        """Batches an epoch."""
        whole, rest = divmod(len(self.split), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def size(self, step: int) -> int:
        """Examples in batch number `step`, all processes' together."""
        return min(self.batch_size, len(self.split) - step * self.batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """This process's share of the batches of `epoch` (0, 1, …) from number `start` on, exactly as if none
        were skipped; of those before nothing is read.

        Raises ArgumentError for a negative epoch and for a start outside [0, len(self)].
        """
        if epoch < 0 or not 0 <= start <= len(self):
            raise ArgumentError(f"no batch {start} in epoch {epoch}: an epoch has {len(self)} batches")
        return self._run(epoch, start)

    def _run(self, epoch: int, start: int) -> Iterator[Batch]:
        images, rows = self.split.images, self.split.rows
        order = images.shuffled(rows, self.seed, epoch) if self.shuffle else rows
        parts = [self._part(step) for step in range(start, len(self))]
        labels = torch.from_numpy(images.labels[order])
        chunks = [
            range(first, min(first + _CHUNK, part.stop))
            for part in parts
            for first in range(part.start, part.stop, _CHUNK)
        ]
        workers = self.workers if len(chunks) > 1 else 0
        made = decoded(self._tasks(order, chunks, epoch), workers)
        room = self._room()
        for part in parts:
            count = part.stop - part.start
            shares = list(islice(made, -(-count // _CHUNK)))
            pixels = torch.cat(shares, out=room[:count]) if shares else room[:0]
            yield (
                self._normalise(pixels.to(self.device)),
                labels[part].to(self.device, non_blocking=True),
            )

    def _part(self, step: int) -> slice:
        first = step * self.batch_size
        return self.share.of(first, first + self.size(step))

    def _tasks(self, order: Rows, chunks: Sequence[range], epoch: int) -> Iterator[Task]:
        mine = [order[chunk.start : chunk.stop] for chunk in chunks]
        cells = self.split.images.cells(np.concatenate(mine) if mine else order[:0])
        stream = Stream(self.seed, "data", "resized-crop", epoch)
        for chunk in chunks:
            words = stream.words(WORDS * len(chunk), WORDS * chunk.start) if self.augment else None
            yield Task(
                tuple(islice(cells, len(chunk))),
                self.image_size,
                None if words is None else words.reshape(len(chunk), WORDS),
            )

    def _room(self) -> torch.Tensor:
        """Where a batch is put together, out of the memory shared with the workers: one place for all batches
        of an epoch, for to get 20 MB anew takes longer than to fill them.
        """
        shape = (self.batch_size, self.image_size, self.image_size, 3)
        return torch.empty(shape, dtype=torch.uint8, pin_memory=self.device.type == "cuda")
