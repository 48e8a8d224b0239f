"""Tables that come inside scikit-learn: rows of measurements, each a flower, a wine, a tumour.

A row is an "image" of one pixel with a channel for each feature, so that everything made for images takes
it as it is, and normalises each feature by itself.
"""

from __future__ import annotations

from importlib import import_module

import numpy as np

from tombola.data.dataset import Arrays, Dataset, assemble
from tombola.data.names import TABLES
from tombola.data.split import hold_out
from tombola.errors import missing_extra

TEST_FRACTION = 0.2
# Fixed, whatever the seed of the run: figures of different seeds are then of the same test rows.
TEST_SEED = 0


def load_table(name: str, seed: int, validation: float) -> Dataset:
    """The table `name`, one of `names.TABLES`; a fixed fifth of every class is the test split.

    Raises TombolaError where scikit-learn is missing.
    """
    try:
        module = import_module("sklearn.datasets")
    except ImportError as error:
        raise missing_extra(f"the data set {name}", "torch") from error
    bunch = getattr(module, TABLES[name])()
    rows = bunch.data.astype(np.float32)[:, None, None, :]
    everything = Arrays(rows, bunch.target.astype(np.int64))
    rest, test = hold_out(everything.labels, TEST_FRACTION, TEST_SEED, f"{name}/test")
    return assemble(
        name,
        everything.take(rest),
        everything.take(test),
        tuple(str(label) for label in bunch.target_names),
        augmentation=None,
        seed=seed,
        validation=validation,
    )
