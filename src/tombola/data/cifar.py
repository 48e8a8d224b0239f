"""Where CIFAR-10, CIFAR-100 and folders of parquet files are found."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tombola.data.augment import Augmentation
from tombola.data.dataset import Dataset, assemble
from tombola.data.hub import fetch
from tombola.data.parquet import LAYOUTS, Files, find, read_files
from tombola.data.table import Part, join, read_table
from tombola.data.tabular import TABLES
from tombola.errors import DataError

VARIABLE = "TOMBOLA_DATA"
# Pad 4, random crop, horizontal flip: the setting of method.md, section 2.
AUGMENTATION = Augmentation(pad=4, flip=True)


@dataclass(frozen=True)
class Known:
    """A data set of the hub: its repository, and its class names where the files give none."""

    repository: str
    class_names: tuple[str, ...]


# Names that mean a set of their own: a folder of such a name is called otherwise in tickets and records.
TAKEN = ("digits", "cifar10", "cifar100", *TABLES)
KNOWN = {
    "cifar10": Known(
        "uoft-cs/cifar10",
        ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    ),
    "cifar100": Known("uoft-cs/cifar100", tuple(str(label) for label in range(100))),
}


def load_cifar(name: str, data_dir: Path | None, seed: int, validation: float) -> Dataset:
    """CIFAR-10 or CIFAR-100 from `data_dir`, else the folder in TOMBOLA_DATA, else the hub.

    A folder that is given is the only place looked in. Raises DataError where the data set is in none
    of them, or is another one.
    """
    known = KNOWN[name]
    files = _local(name, data_dir)
    train, test = read_files(files) if files else _remote(name, known)
    dataset = _assemble(name, train, test, known, seed, validation)
    _check_identity(name, int(dataset.train.labels.max()), train[0].where)
    return dataset


def load_folder(folder: Path, seed: int, validation: float) -> Dataset:
    """The data set in `folder`, under the folder's own name. Raises DataError where there is none."""
    if not os.path.isdir(folder):  # noqa: PTH112 (Path.is_dir raises for a name that is too long)
        raise DataError(f"{folder} is not a folder: give the one that holds train.parquet and test.parquet")
    files = find(folder)
    if files is None:
        raise DataError(f"{folder} holds no train.parquet and test.parquet (nor train-*, test-*.parquet)")
    train, test = read_files(files)
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


def _local(name: str, data_dir: Path | None) -> Files | None:
    """The files in `data_dir`, or without it in TOMBOLA_DATA; None sends us to the hub."""
    if data_dir is not None:
        if files := _find_under(data_dir, name):
            return files
        raise DataError(
            f"no {name} in the given folder {data_dir}: expected train.parquet and test.parquet in it "
            f"or in {data_dir / name}"
        )
    variable = os.environ.get(VARIABLE)
    return _find_under(Path(variable), name) if variable else None


def _find_under(root: Path, name: str) -> Files | None:
    # The hub keeps cifar100 in a subfolder of that name, so a clone of it is cifar100/cifar100.
    return find(root / name, (*LAYOUTS, name)) or find(root)


def _remote(name: str, known: Known) -> tuple[list[Part], list[Part]]:
    try:
        train, test = fetch(known.repository)
    except DataError as error:
        variable = os.environ.get(VARIABLE)
        raise DataError(
            f"{name} not found: looked in data_dir (not given), {VARIABLE} "
            f"({variable or 'not set'}) and the Hugging Face hub's {known.repository} ({error}); "
            f"name the folder that holds its train.parquet and test.parquet with --data-dir or {VARIABLE}"
        ) from error
    return [read_table(train, f"{known.repository} train")], [read_table(test, f"{known.repository} test")]


def _check_identity(name: str, largest: int, where: str) -> None:
    """Refuse CIFAR-10's files under the name of CIFAR-100: every label would pass, the accuracy mislead."""
    for other, known in KNOWN.items():
        if largest < len(known.class_names) < len(KNOWN[name].class_names):
            raise DataError(f"{where}: labels end at {largest}: this looks like {other}, not {name}")
