"""Where data sets with a name, and folders of images or of parquet files, are found and read."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

from tombola.data.augment import Augmentation
from tombola.data.dataset import Dataset, assemble
from tombola.data.decode import ShapeError
from tombola.data.hub import fetch
from tombola.data.image_folder import is_image_folder, read_image_folder
from tombola.data.names import TABLES
from tombola.data.parquet import LAYOUTS, Files, find, read_files
from tombola.data.streaming.dataset import StreamedDataset
from tombola.data.streaming.folder import image_sizes
from tombola.data.streaming.hub import open_repository
from tombola.data.streaming.opened import Opened, Options, open_files, open_images
from tombola.data.table import Part, join, read_table
from tombola.errors import DataError

VARIABLE = "TOMBOLA_DATA"
MOST_IN_MEMORY = 2 << 30  # bytes of encoded images: decoded they take up to ten times as much
Found = Dataset | StreamedDataset
# Pad 4, random crop, horizontal flip: the papers' setting for CIFAR-10.
AUGMENTATION = Augmentation(pad=4, flip=True)


@dataclass(frozen=True)
class Known:
    """A data set of the hub: its repository, its class names where the files give none, what the split is
    called there that is taken for the test split, what its folder may be called, and whether it is streamed
    at any rate.
    """

    repository: str
    class_names: tuple[str, ...]
    test: str = "test"
    folders: tuple[str, ...] = ()
    streamed: bool = False


KNOWN = {
    "cifar10": Known(
        "uoft-cs/cifar10",
        ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    ),
    "cifar100": Known("uoft-cs/cifar100", tuple(str(label) for label in range(100))),
    "tiny-imagenet": Known(
        "zh-plus/tiny-imagenet",
        tuple(str(label) for label in range(200)),
        test="valid",
        folders=("tiny-imagenet-200",),
    ),
    "imagenet": Known(
        "ILSVRC/imagenet-1k",
        tuple(str(label) for label in range(1000)),
        test="validation",
        folders=("imagenet-1k", "ILSVRC2012"),
        streamed=True,
    ),
}
# Names that mean a set of their own: a folder of such a name is called otherwise in tickets and records.
TAKEN = ("digits", *KNOWN, *TABLES)


def load_known(name: str, data_dir: Path | None, options: Options) -> Found:
    """One of `KNOWN` from `data_dir`, else the folder in TOMBOLA_DATA, else the hub.

    A folder that is given is the only place looked in. Raises DataError where the data set is in none
    of them, or is another one.
    """
    known = KNOWN[name]
    dataset, where = _local(name, known, data_dir, options) or _remote(name, known, options)
    _check_identity(name, int(dataset.train.labels.max()), where)
    return dataset


def load_folder(folder: Path, options: Options) -> Found:
    """The data set in `folder`, under the folder's own name. Raises DataError where there is none."""
    if not os.path.isdir(folder):  # noqa: PTH112 (Path.is_dir raises for a name that is too long)
        raise DataError(f"{folder} is not a folder: give the one that holds train.parquet and test.parquet")
    # Not the whole path: what is drawn must not depend on where the folder happens to lie.
    name = folder.resolve().name
    found = _read(folder, LAYOUTS, f"folder:{name}" if name in TAKEN else name, None, options)
    if found is None:
        raise DataError(
            f"{folder} holds no train.parquet and test.parquet (nor train-*, test-*.parquet), and no folder "
            "train with a folder of images for each class"
        )
    return found


def _read(
    folder: Path, layouts: tuple[str, ...], name: str, known: Known | None, options: Options
) -> Found | None:
    """What `folder` holds, in memory if that can be: images of one size, and not too many of them."""
    files = find(folder, layouts, known.test if known else "test")
    if files is None and not is_image_folder(folder):
        return None
    if (known is not None and known.streamed) or _is_large(folder, files):
        return _opened(folder, files, known).dataset(name, options)
    try:
        train, test = read_files(files) if files else read_image_folder(folder)
        return _assemble(name, train, test, known, options)
    except ShapeError as error:
        if known is not None:
            raise
        size = f"{options.image_size}×{options.image_size}"
        warnings.warn(f"{error}; so they are read as they are needed, and cropped to {size}", stacklevel=2)
        return _opened(folder, files, known).dataset(name, options)


def _opened(folder: Path, files: Files | None, known: Known | None) -> Opened:
    names = known.class_names if known else None
    return open_images(folder, names) if files is None else open_files(files, names)


def _is_large(folder: Path, files: Files | None) -> bool:
    """Whether these are too many images for memory, encoded or, ten times as much, decoded."""
    sizes = (path.stat().st_size for path in (*files[0], *files[1])) if files else image_sizes(folder)
    return sum(sizes) > MOST_IN_MEMORY


def _assemble(
    name: str, train: list[Part], test: list[Part], known: Known | None, options: Options
) -> Dataset:
    train_arrays, test_arrays, names = join(train, test, known.class_names if known else None)
    # A folder's images may be letters or scans, which no one mirrors: a small shift is all that is safe.
    shift = Augmentation(pad=max(1, train_arrays.images.shape[1] // 8), flip=False)
    return assemble(
        name,
        train_arrays,
        test_arrays,
        names,
        augmentation=AUGMENTATION if known else shift,
        seed=options.seed,
        validation=options.validation,
    )


def _local(name: str, known: Known, data_dir: Path | None, options: Options) -> tuple[Found, str] | None:
    """What `data_dir` holds, or without it TOMBOLA_DATA, and where; None sends us to the hub."""
    if data_dir is not None:
        if found := _read_under(data_dir, name, known, options):
            return found
        raise DataError(
            f"no {name} in the given folder {data_dir}: expected train.parquet and test.parquet, or folders "
            f"of images, in it or in {data_dir / name}"
        )
    variable = os.environ.get(VARIABLE)
    return _read_under(Path(variable), name, known, options) if variable else None


def _read_under(root: Path, name: str, known: Known, options: Options) -> tuple[Found, str] | None:
    # The hub keeps cifar100 in a subfolder of that name, so a clone of it is cifar100/cifar100.
    places = (root / name, *(root / folder for folder in known.folders), root)
    found = ((_read(place, (*LAYOUTS, name), name, known, options), str(place)) for place in places)
    return next(((dataset, place) for dataset, place in found if dataset), None)


def _remote(name: str, known: Known, options: Options) -> tuple[Found, str]:
    where = known.repository
    try:
        if known.streamed:
            opened = Opened(*open_repository(where, known.test, known.class_names))
            return opened.dataset(name, options), where
        train, test = fetch(where, known.test)
    except DataError as error:
        variable = os.environ.get(VARIABLE)
        raise DataError(
            f"{name} not found: looked in data_dir (not given), {VARIABLE} "
            f"({variable or 'not set'}) and the Hugging Face hub's {where} ({error}); "
            f"name the folder that holds its train.parquet and test.parquet with --data-dir or {VARIABLE}"
        ) from error
    parts = [read_table(train, f"{where} train")], [read_table(test, f"{where} {known.test}")]
    return _assemble(name, *parts, known, options), where


def _check_identity(name: str, largest: int, where: str) -> None:
    """Refuse CIFAR-10's files under the name of CIFAR-100: every label would pass, the accuracy mislead."""
    for other, known in KNOWN.items():
        if largest < len(known.class_names) < len(KNOWN[name].class_names):
            raise DataError(f"{where}: labels end at {largest}: this looks like {other}, not {name}")
