"""Data that are found but not read, and the data set that they become."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tombola.data.parquet import Files
from tombola.data.streaming.dataset import IMAGE_SIZE, StreamedDataset, split_up
from tombola.data.streaming.folder import open_image_folder
from tombola.data.streaming.images import Images
from tombola.data.streaming.parquet import open_parquet
from tombola.errors import DataError


@dataclass(frozen=True)
class Options:
    """How a data set is split, `seed` and the fraction for `validation`, and, where it is streamed, the size
    of what a model gets and the number of processes that decode.
    """

    seed: int
    validation: float
    image_size: int = IMAGE_SIZE
    workers: int | None = None


@dataclass(frozen=True)
class Opened:
    """Images that were found, but not read."""

    train: Images
    test: Images
    class_names: tuple[str, ...]

    def dataset(self, name: str, options: Options) -> StreamedDataset:
        """The data set of that name. Raises what `split_up` raises."""
        return split_up(
            name,
            self.train,
            self.test,
            self.class_names,
            seed=options.seed,
            validation=options.validation,
            image_size=options.image_size,
            workers=options.workers,
        )


def open_images(folder: Path, class_names: tuple[str, ...] | None = None) -> Opened:
    """The folder of images `folder`; `class_names` are those of a data set that is known.

    Raises DataError for another number of classes, and as `open_image_folder` does.
    """
    train, test, names = open_image_folder(folder)
    if class_names is not None and len(names) != len(class_names):
        raise DataError(
            f"{folder / 'train'} has {len(names)} classes, expected {len(class_names)}: "
            "give a part of a data set by its path"
        )
    return Opened(train, test, names)


def open_files(files: Files, class_names: tuple[str, ...] | None = None) -> Opened:
    """Parquet `files`. Raises DataError as `open_parquet` does."""
    return Opened(*open_parquet(*files, names=class_names))
