"""What the images of a streamed data set are, wherever they lie."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]


class Cell(NamedTuple):
    """One encoded image: its bytes, or None where the file called `name` is yet to be read for them."""

    name: str
    data: bytes | None


class Images(Protocol):
    """Encoded images by row, 0, 1, …, with all their labels known."""

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """Of every row."""
        ...

    def shuffled(self, rows: Rows, seed: int, epoch: int) -> Rows:
        """`rows`, which are sorted, in the order of that epoch: a pure function of seed and epoch."""
        ...

    def cells(self, rows: Rows) -> Iterator[Cell]:
        """The images of `rows`, one after the other; nothing is read before it is needed, but for some
        ahead.
        """
        ...

    def fingerprint(self) -> bytes:
        """What tells these images from any others, without reading them."""
        ...
