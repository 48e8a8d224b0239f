"""Parquet files of images, read row group by row group.

The order of an epoch is drawn so that few row groups are needed at a time: the groups of all files come in
random order, and each image then moves back by a random number of places below `WINDOW`. An image of the
hub's ImageNet thus comes in the company of those of some forty row groups of a hundred, drawn anew for every
epoch; what lies in memory is about WINDOW encoded images. Every process reads all groups.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa

from tombola.data.streaming.images import Cell, Rows
from tombola.data.streaming.shards import Opener, Shard, open_local
from tombola.data.table import check_labels
from tombola.errors import DataError
from tombola.rng import Stream

WINDOW = 4096
_AHEAD = 4  # row groups read, each by a thread of its own, before they are needed
_OPENERS = 16  # files opened at once: of the hub's, it is all waiting


class ParquetImages:
    """The rows of all `shards`, one file after the other."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        self.shards = shards
        self.labels = np.concatenate([shard.labels for shard in shards])
        self._places = [(s, g) for s, shard in enumerate(shards) for g in range(len(shard.group_sizes))]
        sizes = [size for shard in shards for size in shard.group_sizes]
        # The first row of each row group, counted over all files; and of each file.
        self._starts = np.cumsum([0, *sizes])[:-1]
        self._firsts = np.cumsum([0, *(len(shard.labels) for shard in shards)])

    def shuffled(self, rows: Rows, seed: int, epoch: int) -> Rows:
        """Row groups in random order, images moved back at random within `WINDOW` places."""
        turn = np.argsort(Stream(seed, "data", "groups", epoch).permutation(len(self._places)))
        by_group = rows[np.argsort(turn[self._groups(rows)], kind="stable")]
        words = Stream(seed, "data", "order", epoch).words(len(rows)).astype(np.int64)
        # place + WINDOW * word / 2^32, in units of 2^-32: whole numbers, the same on every machine.
        keys = (np.arange(len(rows), dtype=np.int64) << 32) + WINDOW * words
        return by_group[np.argsort(keys, kind="stable")]

    def cells(self, rows: Rows) -> Iterator[Cell]:
        """Bytes, out of row groups that are read a few ahead and dropped after their last row."""
        groups = self._groups(rows).tolist()
        last = {group: position for position, group in enumerate(groups)}
        coming = deque(dict.fromkeys(groups))
        held: dict[int, Future[pa.Array]] = {}
        begun: set[int] = set()
        pool = ThreadPoolExecutor(_AHEAD)
        try:
            for position, (row, group) in enumerate(zip(rows.tolist(), groups, strict=True)):
                if group not in begun:
                    begun.add(group)
                    while coming and (group not in held or len(held) < len(begun & held.keys()) + _AHEAD):
                        following = coming.popleft()
                        held[following] = pool.submit(self._read, following)
                yield self._cell(row, group, held[group].result())
                if last[group] == position:
                    del held[group]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def fingerprint(self) -> bytes:
        """Of the footers and labels of all files."""
        digest = hashlib.blake2b(digest_size=16)
        for shard in self.shards:
            digest.update(shard.fingerprint())
        return digest.digest()

    def _groups(self, rows: Rows) -> Rows:
        """The row group of each row."""
        return np.searchsorted(self._starts, rows, side="right") - 1

    def _read(self, group: int) -> pa.Array:
        shard, number = self._places[group]
        return self.shards[shard].group(number)

    def _cell(self, row: int, group: int, images: pa.Array) -> Cell:
        shard = self._places[group][0]
        name = f"{self.shards[shard].name} row {row - int(self._firsts[shard])}"
        data: bytes | None = images[row - int(self._starts[group])].as_py()
        if data is None:
            raise DataError(f"{name}: no image bytes (null)")
        return Cell(name, data)


def open_parquet(
    train: Sequence[str | Path],
    test: Sequence[str | Path],
    *,
    opener: Opener = open_local,
    names: tuple[str, ...] | None = None,
) -> tuple[ParquetImages, ParquetImages, tuple[str, ...]]:
    """The train images, the test images and the class names of parquet files.

    `names` are those of a data set that is known. Raises DataError for files that cannot be used, that
    disagree in their class names or have no rows, and for labels beyond the classes.
    """
    with ThreadPoolExecutor(_OPENERS) as pool:
        shards = list(pool.map(lambda path: Shard.open(str(path), opener), [*train, *test]))
    splits = shards[: len(train)], shards[len(train) :]
    for split in splits:
        if not any(len(shard.labels) for shard in split):
            raise DataError(f"{split[0].name}: no rows in this split")
    found = _agreed_names(shards, names) or _numbered(splits[0])
    for shard in shards:
        check_labels(shard.labels, len(found), shard.name)
    return ParquetImages(splits[0]), ParquetImages(splits[1]), found


def _agreed_names(shards: Sequence[Shard], names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    named = [shard for shard in shards if shard.class_names]
    for shard in named[1:]:
        if shard.class_names != named[0].class_names:
            raise DataError(f"{shard.name}: other class names, or another order, than {named[0].name}")
    found = named[0].class_names if named else None
    if found and names and len(found) != len(names):
        raise DataError(f"{named[0].name}: names {len(found)} classes, expected {len(names)}")
    return found or names


def _numbered(train: Sequence[Shard]) -> tuple[str, ...]:
    most = max(int(shard.labels.max()) for shard in train if len(shard.labels))
    return tuple(str(label) for label in range(most + 1))
