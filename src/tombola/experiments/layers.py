"""layers.json: what a run kept of each layer, as a record that is read without torch.

{"tensors": [{"name": "conv1.weight", "shape": [32, 1, 3, 3], "weights": 288, "alive": 288, "kept": 144,
              "generations": [[0, 100], [1, 44]],
              "picture": {"rows": 32, "columns": 9, "kept": "base64 …", "alive": "base64 …"}}]}

`alive` counts the weights of the source, `kept` those of the mask; `generations` says how many of the kept
ones are of which generation, null where weights are trained. `picture` is the first corner of the tensor as a
matrix, one row for each output, one bit for each weight, the bits of all rows in order and the first in a
byte the greatest; `alive` is null there where the source has all weights.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tombola.files import write_atomically
from tombola.mask import BoolArray

NAME = "layers.json"
SIDE = 128  # of a picture, at most: 2 KiB of bits, so that a ResNet-50's record stays below 200 kB


def write_layers(
    folder: Path,
    source: Mapping[str, BoolArray],
    mask: Mapping[str, BoolArray],
    generations: Mapping[str, npt.NDArray[np.int32] | None] | None,
) -> None:
    """Write layers.json of a mask within a source's. `generations` (None: the weights are trained) has that
    of every weight by name, None where all are 0. Raises OSError where the file cannot be written.
    """
    tensors = [_tensor(name, source[name], kept) for name, kept in mask.items()]
    for tensor in tensors if generations is not None else ():
        assert generations is not None
        tensor["generations"] = _counts(generations[tensor["name"]], mask[tensor["name"]])
    write_atomically(folder / NAME, (json.dumps({"tensors": tensors}) + "\n").encode())


def _tensor(name: str, alive: BoolArray, kept: BoolArray) -> dict[str, Any]:
    whole = int(np.count_nonzero(alive)) == alive.size
    kept_corner = _corner(kept)
    return {
        "name": name,
        "shape": list(kept.shape),
        "weights": kept.size,
        "alive": int(np.count_nonzero(alive)),
        "kept": int(np.count_nonzero(kept)),
        "generations": None,
        "picture": {
            "rows": kept_corner.shape[0],
            "columns": kept_corner.shape[1],
            "kept": _packed(kept_corner),
            "alive": None if whole else _packed(_corner(alive)),
        },
    }


def _counts(generations: npt.NDArray[np.int32] | None, kept: BoolArray) -> list[list[int]]:
    """[generation, how many of the kept weights are of it], ascending."""
    if generations is None:
        count = int(np.count_nonzero(kept))
        return [[0, count]] if count else []
    present, numbers = np.unique(generations[kept], return_counts=True)
    return [[int(generation), int(number)] for generation, number in zip(present, numbers, strict=True)]


def _corner(values: BoolArray) -> BoolArray:
    matrix = values.reshape(values.shape[0], -1) if values.ndim > 1 and values.size else values.reshape(1, -1)
    return matrix[:SIDE, :SIDE]


def _packed(values: BoolArray) -> str:
    return base64.b64encode(np.packbits(values.ravel()).tobytes()).decode()
