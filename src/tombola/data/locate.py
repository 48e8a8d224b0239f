"""Where data sets with a name, and folders of images or of parquet files, are found and read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tombola.data.augment import Augmentation
from tombola.data.dataset import Dataset, assemble
from tombola.data.hub import fetch
from tombola.data.image_folder import is_image_folder, read_image_folder
from tombola.data.parquet import LAYOUTS, find, read_files
from tombola.data.table import Part, join, read_table
from tombola.data.tabular import TABLES
from tombola.errors import DataError

VARIABLE = "TOMBOLA_DATA"
Parts = tuple[list[Part], list[Part]]
# Pad 4, random crop, horizontal flip: the setting of method.md, section 2.
AUGMENTATION = Augmentation(pad=4, flip=True)


@dataclass(frozen=True)
class Known:
    """A data set of the hub: its repository, its class names where the files give none, what the split is
    called there that is taken for the test split, and what its folder may be called.
    """

    repository: str
    class_names: tuple[str, ...]
    test: str = "test"
    folders: tuple[str, ...] = ()


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
}
# Names that mean a set of their own: a folder of such a name is called otherwise in tickets and records.
TAKEN = ("digits", *KNOWN, *TABLES)


def load_known(name: str, data_dir: Path | None, seed: int, validation: float) -> Dataset:
    """One of `KNOWN` from `data_dir`, else the folder in TOMBOLA_DATA, else the hub.

    A folder that is given is the only place looked in. Raises DataError where the data set is in none
    of them, or is another one.
    """
    known = KNOWN[name]
    train, test = _local(name, known, data_dir) or _remote(name, known)
    dataset = _assemble(name, train, test, known, seed, validation)
    _check_identity(name, int(dataset.train.labels.max()), train[0].where)
    return dataset


def load_folder(folder: Path, seed: int, validation: float) -> Dataset:
    """The data set in `folder`, under the folder's own name. Raises DataError where there is none."""
    if not os.path.isdir(folder):  # noqa: PTH112 (Path.is_dir raises for a name that is too long)
        raise DataError(f"{folder} is not a folder: give the one that holds train.parquet and test.parquet")
    found = _read(folder)
    if found is None:
        raise DataError(
            f"{folder} holds no train.parquet and test.parquet (nor train-*, test-*.parquet), and no folder "
            "train with a folder of images for each class"
        )
    train, test = found
    # Not the whole path: what is drawn must not depend on where the folder happens to lie.
    name = folder.resolve().name
    return _assemble(f"folder:{name}" if name in TAKEN else name, train, test, None, seed, validation)


def _assemble(
    name: str, train: list[Part], test: list[Part], known: Known | None, seed: int, validation: float
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
        seed=seed,
        validation=validation,
    )


def _local(name: str, known: Known, data_dir: Path | None) -> Parts | None:
    """What `data_dir` holds, or without it TOMBOLA_DATA; None sends us to the hub."""
    if data_dir is not None:
        if found := _read_under(data_dir, name, known):
            return found
        raise DataError(
            f"no {name} in the given folder {data_dir}: expected train.parquet and test.parquet, or folders "
            f"of images, in it or in {data_dir / name}"
        )
    variable = os.environ.get(VARIABLE)
    return _read_under(Path(variable), name, known) if variable else None


def _read_under(root: Path, name: str, known: Known) -> Parts | None:
    # The hub keeps cifar100 in a subfolder of that name, so a clone of it is cifar100/cifar100.
    places = (root / name, *(root / folder for folder in known.folders), root)
    found = (_read(place, (*LAYOUTS, name)) for place in places)
    return next((parts for parts in found if parts), None)


def _read(folder: Path, layouts: tuple[str, ...] = LAYOUTS) -> Parts | None:
    if files := find(folder, layouts):
        return read_files(files)
    return read_image_folder(folder) if is_image_folder(folder) else None


def _remote(name: str, known: Known) -> tuple[list[Part], list[Part]]:
    try:
        train, test = fetch(known.repository, known.test)
    except DataError as error:
        variable = os.environ.get(VARIABLE)
        raise DataError(
            f"{name} not found: looked in data_dir (not given), {VARIABLE} "
            f"({variable or 'not set'}) and the Hugging Face hub's {known.repository} ({error}); "
            f"name the folder that holds its train.parquet and test.parquet with --data-dir or {VARIABLE}"
        ) from error
    return [read_table(train, f"{known.repository} train")], [
        read_table(test, f"{known.repository} {known.test}")
    ]


def _check_identity(name: str, largest: int, where: str) -> None:
    """Refuse CIFAR-10's files under the name of CIFAR-100: every label would pass, the accuracy mislead."""
    for other, known in KNOWN.items():
        if largest < len(known.class_names) < len(KNOWN[name].class_names):
            raise DataError(f"{where}: labels end at {largest}: this looks like {other}, not {name}")
