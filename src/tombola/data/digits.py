"""scikit-learn's handwritten digits: 1,797 grey images of 8×8 that come inside its package."""

from __future__ import annotations

import numpy as np

from tombola.data.augment import Augmentation
from tombola.data.dataset import Arrays, Dataset, assemble
from tombola.data.split import hold_out
from tombola.errors import missing_extra

TEST_FRACTION = 0.2
# Fixed, whatever the seed of the run: figures of different seeds are then of the same test images.
TEST_SEED = 0


def load_digits(seed: int, validation: float) -> Dataset:
    """The digits; a fixed fifth of every class is the test split.

    Raises TombolaError where scikit-learn is missing.
    """
    try:
        from sklearn.datasets import load_digits as read
    except ImportError as error:
        raise missing_extra("the data set digits", "torch") from error
    bunch = read()
    # Values 0 … 16 become 0 … 255, rounded to the nearest in integers.
    levels = (bunch.images.astype(np.int64) * 255 + 8) // 16
    everything = Arrays(levels.astype(np.uint8)[..., None], bunch.target.astype(np.int64))
    rest, test = hold_out(everything.labels, TEST_FRACTION, TEST_SEED, "digits/test")
    return assemble(
        "digits",
        everything.take(rest),
        everything.take(test),
        tuple(str(digit) for digit in range(10)),
        augmentation=Augmentation(pad=1, flip=False),
        seed=seed,
        validation=validation,
    )
