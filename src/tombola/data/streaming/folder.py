"""Folders of images, listed but not read, in the layouts that `image_folder.py` describes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tombola.data.image_folder import (
    ANNOTATIONS,
    SUFFIXES,
    annotated,
    check_classes,
    class_folders,
    class_words,
    find_test_folder,
    no_images,
)
from tombola.data.streaming.images import Cell, Rows
from tombola.errors import DataError
from tombola.rng import Stream

_LISTERS = 16  # folders listed at once: on a network file system it is all waiting


@dataclass(frozen=True, eq=False)
class FolderImages:
    """Image files: each in the folder of its class, with its size in bytes."""

    folders: Sequence[str]
    files: Sequence[str]
    labels: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]

    def shuffled(self, rows: Rows, seed: int, epoch: int) -> Rows:
        """Any order at all: a file is as near as any other."""
        return rows[Stream(seed, "data", "order", epoch).permutation(len(rows))]

    def cells(self, rows: Rows) -> Iterator[Cell]:
        """Paths: whoever decodes them reads them."""
        for row in rows.tolist():
            yield Cell(os.path.join(self.folders[self.labels[row]], self.files[row]), None)  # noqa: PTH118

    def fingerprint(self) -> bytes:
        """Of names, sizes and labels; not of where the folder lies."""
        digest = hashlib.blake2b("\0".join(self.files).encode("utf-8", "surrogateescape"), digest_size=16)
        digest.update(self.sizes.data)
        digest.update(self.labels.data)
        return digest.digest()


def open_image_folder(folder: Path) -> tuple[FolderImages, FolderImages, tuple[str, ...]]:
    """The train images, the test images and the class names of `folder`, as `read_image_folder` has them.

    Raises DataError where a split or a class has no images, or the test split has a class that train has
    not.
    """
    train = folder / "train"
    classes = [path.name for path in class_folders(train)]
    test = find_test_folder(folder, classes)
    listed = _annotated(test, classes) if (test / ANNOTATIONS).is_file() else _by_class(test, classes)
    return _by_class(train, classes), listed, class_words(folder, classes)


def image_sizes(folder: Path) -> Iterator[int]:
    """The size in bytes of every image in the train folder of `folder`."""
    classes = class_folders(folder / "train")
    with ThreadPoolExecutor(_LISTERS) as pool:
        for _, files in pool.map(_class_files, classes):
            yield from (size for _, size in files)


def _by_class(split: Path, classes: Sequence[str]) -> FolderImages:
    check_classes(split, classes)
    with ThreadPoolExecutor(_LISTERS) as pool:
        listed = list(pool.map(_class_files, (split / name for name in classes)))
    for name, (_, files) in zip(classes, listed, strict=True):
        if not files and split.name == "train":
            raise no_images(split / name)
    if not any(files for _, files in listed):
        raise no_images(split)
    return FolderImages(
        [folder for folder, _ in listed],
        [name for _, files in listed for name, _ in files],
        np.repeat(np.arange(len(classes)), [len(files) for _, files in listed]),
        np.array([size for _, files in listed for _, size in files], dtype=np.int64),
    )


def _class_files(folder: Path) -> tuple[str, list[tuple[str, int]]]:
    """Where the images of a class are, and their names and sizes."""
    inner = folder / "images"
    files = _files(folder)
    return (str(folder), files) if files else (str(inner), _files(inner))


def _files(folder: Path) -> list[tuple[str, int]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(
                (entry.name, entry.stat().st_size)
                for entry in entries
                if os.path.splitext(entry.name)[1].lower() in SUFFIXES  # noqa: PTH122 (a million times)
                and not entry.name.startswith(".")
                and entry.is_file()
            )
    except (FileNotFoundError, NotADirectoryError):
        return []


def _annotated(split: Path, classes: Sequence[str]) -> FolderImages:
    found = annotated(split, classes)
    if not found:
        raise no_images(split)
    try:
        sizes = [path.stat().st_size for path, _ in found]
    except OSError as error:
        raise DataError(f"{error.filename}: {error.strerror}") from None
    return FolderImages(
        [str(split / "images")] * len(classes),
        [path.name for path, _ in found],
        np.array([label for _, label in found], dtype=np.int64),
        np.array(sizes, dtype=np.int64),
    )
