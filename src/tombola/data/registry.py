"""A name or a folder -> a data set."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tombola.data.dataset import Dataset
from tombola.data.names import NAMES, TABLES, check_name
from tombola.data.split import check_fraction
from tombola.data.tabular import load_table
from tombola.errors import ArgumentError, missing_extra
from tombola.rng import check_seed


def load(
    name: str | os.PathLike[str],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    seed: int = 0,
    validation: float = 0.1,
    image_size: int = 224,
    workers: int | None = None,
) -> Dataset | Any:
    """The data set `name`: digits, cifar10, cifar100, tiny-imagenet, imagenet, a table (iris, wine,
    breast-cancer), or a folder of parquet files or of images.

    A folder is anything with a path separator in it, or an existing directory; the names above win.
    The fraction `validation` of every class of the training images is held out, drawn from `seed`;
    the test images are the same for every seed. cifar10, cifar100, tiny-imagenet and imagenet are read from
    `data_dir` (the folder that holds train.parquet and test.parquet, or folders of images, or its
    parent), else from the folder in the environment variable TOMBOLA_DATA, else from the Hugging Face
    hub; what is given a folder never touches the network.

    A `Dataset` lies in memory. imagenet, folders of more than 2 GiB and those of images of several sizes are
    a `StreamedDataset`, a `DatasetLike` of RGB images that `workers` processes (None: one less than the
    cores) read, crop and make `image_size` × `image_size` as they are needed.

    Raises ArgumentError for an unknown name, a `data_dir` where none is read, or a fraction outside
    [0, 1); DataError for data that is missing or malformed; TombolaError for a package that is missing.

    >>> digits = load("digits")
    >>> digits.image_size, digits.in_channels, digits.classes
    (8, 1, 10)
    """
    check_seed(seed)
    check_fraction(validation)  # before the images are read, not after
    text = os.fspath(name)
    if text == "digits" or text in TABLES:
        if data_dir is not None:
            raise ArgumentError(f"{text} comes with scikit-learn and reads no folder; drop --data-dir")
        if text in TABLES:
            return load_table(text, seed, validation)
        from tombola.data.digits import load_digits

        return load_digits(seed, validation)
    check_name(text)
    named = text in NAMES
    if not named and data_dir is not None:
        raise ArgumentError(f"the data set {text} is a folder already; drop --data-dir")
    try:
        from tombola.data import locate
        from tombola.data.streaming.opened import Options
    except ImportError as error:
        raise missing_extra(f"the data set {text}", "vision") from error
    options = Options(seed, validation, image_size, workers)
    if not named:
        return locate.load_folder(Path(text).expanduser(), options)
    folder = None if data_dir is None else Path(data_dir).expanduser()
    return locate.load_known(text, folder, options)
