"""Small images of many sizes, and folders of them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CLASSES = ("n01", "n02", "n03")


def photo(width: int, height: int, seed: int = 0) -> Image.Image:
    """A smooth RGB image, as photographs are."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def sized(number: int) -> bytes:
    """The JPEG file of image `number`: no two are alike, and sizes differ."""
    return encoded(photo(20 + 3 * (number % 5), 17 + 2 * (number % 7), seed=number), "JPEG")


def image_folders(root: Path, train: int = 8, test: int = 3) -> Path:
    """`train` and `test` images of each of three classes, a folder each."""
    number = 0
    for split, count in (("train", train), ("val", test)):
        for name in CLASSES:
            (root / split / name).mkdir(parents=True)
            for _ in range(count):
                (root / split / name / f"{number:03}.JPEG").write_bytes(sized(number))
                number += 1
    return root
