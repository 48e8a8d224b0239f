"""Data sets that are streamed, as parquet files of several row groups, and their batches."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from data_helpers import table

from photos import sized
from tombola.data import StreamedDataset, load


def parquet_files(root: Path, train: int = 24, test: int = 9, groups: int = 5) -> Path:
    """Images in three classes: two train files and a test file, `groups` rows a row group."""
    root.mkdir(parents=True)
    half = train // 2
    for name, numbers in (
        ("train-00000-of-00002", range(half)),
        ("train-00001-of-00002", range(half, train)),
        ("validation-00000-of-00001", range(train, train + test)),
    ):
        write_shard(root / f"{name}.parquet", [sized(n) for n in numbers], [n % 3 for n in numbers], groups)
    return root


def write_shard(
    path: Path, cells: list[bytes | None] | list[bytes], labels: list[int], groups: int = 5, **options: Any
) -> None:
    made: pa.Table = table(cells, labels, image="image", **options)
    pq.write_table(made, path, row_group_size=groups)


def streamed(folder: Path, **options: Any) -> StreamedDataset:
    """The data set in a folder, at 16×16 pixels, decoded in this process and whole, unless said otherwise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is streamed, for its images are of several sizes
        found = load(folder, **{"image_size": 16, "workers": 0, "validation": 0.0, **options})
    assert isinstance(found, StreamedDataset)
    return found


Pairs = list[tuple[torch.Tensor, torch.Tensor]]


def same(one: Iterable[tuple[torch.Tensor, torch.Tensor]], other: Pairs) -> bool:
    """Whether these are the same batches, bit for bit."""
    found = list(one)
    return len(found) == len(other) and all(
        torch.equal(x, u) and torch.equal(y, v) for (x, y), (u, v) in zip(found, other, strict=True)
    )
