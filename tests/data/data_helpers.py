"""Small parquet folders like the hub's, and images that are known exactly."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

Pixels = npt.NDArray[np.uint8]
REAL = Path(os.environ.get("TOMBOLA_DATA") or Path(__file__).parents[3] / "shared" / "data")
"""Where real images are, if they are anywhere: beside the checkout, unless the environment says so."""


def noise(count: int, size: int = 4, channels: int = 3, seed: int = 0) -> Pixels:
    """`count` images of random pixels, (count, size, size, channels)."""
    shape = (count, size, size, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encode(pixels: Pixels, kind: str = "PNG", mode: str | None = None) -> bytes:
    """One image (H, W, C) as the bytes of a file; PNG keeps every pixel."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    buffer = io.BytesIO()
    (image.convert(mode) if mode else image).save(buffer, kind)
    return buffer.getvalue()


def table(
    cells: Sequence[bytes | None],
    labels: Sequence[Any],
    *,
    image: str = "img",
    label: str = "label",
    names: Sequence[str] | None = None,
    plain: bool = False,
) -> pa.Table:
    """Columns as the hub has them: a struct of bytes and path (or `plain` binary), and the labels."""
    column = (
        pa.array(cells, pa.binary())
        if plain
        else pa.array(
            [{"bytes": cell, "path": None} for cell in cells],
            pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
        )
    )
    made = pa.table({image: column, label: pa.array(labels)})
    if names is None:
        return made
    features = {label: {"names": list(names), "_type": "ClassLabel"}, image: {"_type": "Image"}}
    return made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def images_table(pixels: Pixels, labels: Sequence[int] | None = None, **options: Any) -> pa.Table:
    """A table of PNGs of `pixels`; labels 0, 1, 0, 1, … unless given."""
    return table(
        [encode(image) for image in pixels], labels or [i % 2 for i in range(len(pixels))], **options
    )


def write(folder: Path, **tables: pa.Table) -> Path:
    """Write each table as `folder`/NAME.parquet, `__` in a name becoming `-`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in tables.items():
        pq.write_table(content, folder / f"{name.replace('__', '-')}.parquet")
    return folder


def small_folder(folder: Path, **options: Any) -> Path:
    """A data set of 20 training and 6 test images of 4×4 in two classes."""
    return write(
        folder,
        train=images_table(noise(20, seed=1), **options),
        test=images_table(noise(6, seed=2), **options),
    )
