"""Data sets of the Hugging Face hub, streamed: `datasets` finds the files, which are read where they are.

Of each parquet file the footer and the labels are read when the data set is opened, and row groups as they
are needed, with the order and the exact resuming of files on disk. The iterable data set of `datasets` would
know no labels beforehand, so no validation split, and would lose its shuffle buffer when a run stops.
"""

from __future__ import annotations

from typing import IO, Any

from tombola.data.hub import brief, offline_if_unreachable, quiet
from tombola.data.streaming.parquet import ParquetImages, open_parquet
from tombola.errors import DataError


def open_repository(
    repository: str, test: str, names: tuple[str, ...] | None = None
) -> tuple[ParquetImages, ParquetImages, tuple[str, ...]]:
    """The train images, those of the split called `test`, and the class names of a repository.

    Raises DataError, with the cause, where a package is missing or the data cannot be had; and what
    `open_parquet` raises.
    """
    try:
        import datasets
    except ImportError as error:
        raise DataError("needs a package: pip install 'tombola[vision]'") from error
    try:
        with quiet(), offline_if_unreachable():
            builder = datasets.load_dataset_builder(repository)
        files: dict[str, list[str]] = {split: list(found) for split, found in _files(builder).items()}
    except Exception as error:
        # datasets, huggingface_hub and their HTTP client raise errors of many unrelated classes.
        offline = isinstance(error, ConnectionError)
        raise DataError("out of reach" if offline else brief(error)) from error
    for split in ("train", test):
        if not files.get(split) or not all(name.endswith(".parquet") for name in files[split]):
            raise DataError(f"no parquet files of a split {split}, found {', '.join(files) or 'none'}")
    return open_parquet(files["train"], files[test], opener=open_anywhere, names=names)


def _files(builder: Any) -> dict[str, Any]:
    return dict(builder.config.data_files or {})


def open_anywhere(url: str) -> IO[bytes]:
    """A file of the hub (`hf://…`, with the user's own token) or of this machine."""
    import fsspec

    # Row groups are read whole: a cache of blocks around them would read more, and keep it.
    opened: IO[bytes] = fsspec.open(url, "rb", cache_type="none").open()
    return opened
