"""A folder of parquet files, laid out as the Hugging Face hub lays them out, read without a cache."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tombola.data.table import IMAGE_COLUMNS, LABEL_COLUMNS, Part, pick, read_table
from tombola.errors import DataError

LAYOUTS = ("", "data", "plain_text")  # subfolders where the hub keeps a data set's files
# Sets whose test labels are secret have their validation split measured by everyone.
TEST_SPLITS = ("test", "valid", "validation")
_SHARD = re.compile(r"-\d+-of-(\d+)")

Files = tuple[list[Path], list[Path]]


def find(folder: Path, layouts: Sequence[str] = LAYOUTS, test: str = "test") -> Files | None:
    """The train files and test files in `folder`, or in its first subfolder of `layouts` that has both. The
    split to test on is called `test`, or else one of `TEST_SPLITS`.

    A split is `train.parquet`, or `train-*.parquet` in the order of their names; None where there are
    none. Raises DataError where a file of a sharded split (`…-00000-of-00005…`) is missing.
    """
    for layout in layouts:
        train = _split_files(folder / layout, "train")
        splits = dict.fromkeys((test, *TEST_SPLITS))
        tests = next((files for split in splits if (files := _split_files(folder / layout, split))), [])
        if train and tests:
            return train, tests
    return None


def _split_files(folder: Path, split: str) -> list[Path]:
    whole = folder / f"{split}.parquet"
    if whole.is_file():
        return [whole]
    shards = sorted(folder.glob(f"{split}-*.parquet"))
    counts = {int(match[1]) for shard in shards if (match := _SHARD.search(shard.name))}
    if counts and counts != {len(shards)}:
        raise DataError(
            f"{folder}: {len(shards)} {split} files, expected {' or '.join(map(str, sorted(counts)))}"
        )
    return shards


def read_files(files: Files) -> tuple[list[Part], list[Part]]:
    """What the train files and the test files hold. Raises DataError for files that cannot be used."""
    train, test = ([read_file(path) for path in paths] for paths in files)
    return train, test


def read_file(path: Path) -> Part:
    """The image and label columns of one parquet file; no other column is read."""
    where = str(path)
    try:
        # A plain file handle: a path would be memory-mapped or taken for one of a partitioned data set.
        with path.open("rb") as handle:
            file = pq.ParquetFile(handle)
            found = file.schema_arrow.names
            wanted = [
                pick(found, IMAGE_COLUMNS, "image", where),
                pick(found, LABEL_COLUMNS, "label", where),
            ]
            table = file.read(columns=wanted)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{where}: cannot read it as parquet ({' '.join(str(error).split())})") from error
    return read_table(table, where)
