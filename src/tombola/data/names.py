"""What the data sets are called. No torch here: a wrong name in a sweep is said before that is waited for."""

from __future__ import annotations

import os

from tombola.errors import unknown

TABLES = {"iris": "load_iris", "wine": "load_wine", "breast-cancer": "load_breast_cancer"}
"""Tables within scikit-learn, and the functions there that read them."""
NAMES = ("digits", "cifar10", "cifar100", "tiny-imagenet", "imagenet", *TABLES)


def check_name(name: str) -> None:
    """Raise ArgumentError for what is neither the name of a data set nor a folder, or the path of one."""
    if name not in NAMES and not _is_folder(name):
        raise unknown("data set", name, [*NAMES, "or a folder (./NAME)"])


def _is_folder(text: str) -> bool:
    if os.sep in text or (os.altsep is not None and os.altsep in text):
        return True
    return os.path.isdir(text)  # noqa: PTH112 (Path.is_dir raises for a name that is too long)
