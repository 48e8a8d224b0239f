"""Folders of images: one folder a class, as torchvision and the hub have them, and as Tiny-ImageNet does.

    FOLDER/train/CLASS/*.jpg            or FOLDER/train/CLASS/images/*.JPEG
    FOLDER/test/CLASS/*.jpg             or FOLDER/val/…, FOLDER/valid/…
    FOLDER/val/images/*.JPEG            with FOLDER/val/val_annotations.txt: file, class, box

Tiny-ImageNet publishes no labels of its test images: its val folder is the test split, as everyone has it.
Its words.txt names the classes, where it has another word for each. Whatever has a name that begins with a
dot (.ipynb_checkpoints, ._1.png) is nobody's class or image.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tombola.data.decode import decode
from tombola.data.table import Part
from tombola.errors import DataError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"})
TEST = ("test", "val", "valid", "validation")
ANNOTATIONS = "val_annotations.txt"

Labelled = list[tuple[Path, int]]


def is_image_folder(folder: Path) -> bool:
    """Whether `folder` holds a train folder with a folder for each class."""
    train = folder / "train"
    return train.is_dir() and bool(class_folders(train))


def read_image_folder(folder: Path) -> tuple[list[Part], list[Part]]:
    """The train split and the test split in `folder`.

    Classes are those of train, in the order of their folders' names. Raises DataError where a split or
    a class has no images, the test split has a class that train has not, or an image cannot be used.
    """
    train = folder / "train"
    classes = [path.name for path in class_folders(train)]
    names = class_words(folder, classes)
    test = find_test_folder(folder, classes)
    found = annotated(test, classes) if (test / ANNOTATIONS).is_file() else _by_class(test, classes)
    return [_read(train, _by_class(train, classes), names)], [_read(test, found, names)]


def _by_class(split: Path, classes: Sequence[str]) -> Labelled:
    check_classes(split, classes)
    found: Labelled = []
    for label, name in enumerate(classes):
        images = _images(split / name) or _images(split / name / "images")
        if not images and split.name == "train":
            raise no_images(split / name)
        found += [(path, label) for path in images]
    return found


def check_classes(split: Path, classes: Sequence[str]) -> None:
    """Raise DataError where the split has a class beyond those of train."""
    known = frozenset(classes)
    for path in class_folders(split):
        if path.name not in known:
            raise DataError(f"{path}: a class that the train folder does not have")


def no_images(folder: Path) -> DataError:
    """The error for a class, or a split, without images."""
    what = "no images" if folder.name in ("train", *TEST) else "no images of this class"
    return DataError(f"{folder}: {what} ({', '.join(sorted(SUFFIXES))})")


def annotated(split: Path, classes: Sequence[str]) -> Labelled:
    """The images that val_annotations.txt names: name, class, and more of no interest here, parted by tabs.

    Blank lines say nothing. An image that no line names has no label, and is left out. Raises DataError,
    naming the line, for one that is of another form.
    """
    labels = {name: label for label, name in enumerate(classes)}
    found: Labelled = []
    lines: dict[str, int] = {}
    # Split as bytes: then a line that is not UTF-8 can be named by its number.
    for number, raw in enumerate((split / ANNOTATIONS).read_bytes().splitlines(), start=1):
        where = f"{split / ANNOTATIONS} line {number}"
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise DataError(f"{where}: expected UTF-8, got {raw!r:.80}") from None
        if not line.strip():
            continue
        fields = line.split("\t")
        name = Path(fields[0]).name
        if len(fields) < 2 or not name or "\0" in name or fields[1] not in labels:
            raise DataError(f"{where}: expected an image and its class, got {line!r:.80}")
        if name in lines:
            raise DataError(f"{where}: image {name!r:.80} has a class already, from line {lines[name]}")
        lines[name] = number
        found.append((split / "images" / name, labels[fields[1]]))
    return found


def find_test_folder(folder: Path, classes: Sequence[str]) -> Path:
    """The folder of the test split: one of `TEST` with some of the classes, or with annotations.

    Raises DataError where there is none.
    """
    for name in TEST:
        split = folder / name
        if (split / ANNOTATIONS).is_file() or any((split / label).is_dir() for label in classes):
            return split
    raise DataError(
        f"{folder} holds no test images: expected a folder {', '.join(TEST)} with the classes of train, or "
        f"val with {ANNOTATIONS}"
    )


def _read(split: Path, found: Labelled, names: tuple[str, ...]) -> Part:
    if not found:
        raise no_images(split)
    try:
        cells = [path.read_bytes() for path, _ in found]
    except OSError as error:
        raise DataError(f"{error.filename}: {error.strerror}") from None
    images = decode(cells, str(split), [str(path) for path, _ in found])
    return Part(str(split), images, np.array([label for _, label in found], dtype=np.int64), names)


def _visible(folder: Path) -> list[Path]:
    """The entries of `folder`, sorted, without those that programs hide there for themselves."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def class_folders(folder: Path) -> list[Path]:
    """The folders in `folder`, sorted by name, without hidden ones."""
    return [path for path in _visible(folder) if path.is_dir()]


def _images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [path for path in _visible(folder) if path.suffix.lower() in SUFFIXES and path.is_file()]


def class_words(folder: Path, classes: Sequence[str]) -> tuple[str, ...]:
    """The classes by the first word that words.txt has for them, where there is one for each and no two
    are equal (the crane that flies, the crane that lifts); else by their folders.
    """
    try:
        lines = (folder / "words.txt").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):  # names are a courtesy, never a requirement
        return tuple(classes)
    words = dict(line.split("\t", 1) for line in lines if "\t" in line)
    names = tuple(words.get(name, "").split(",")[0].strip() for name in classes)
    return names if all(names) and len(set(names)) == len(names) else tuple(classes)
