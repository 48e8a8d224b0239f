"""Encoded images to one uint8 array."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from PIL import Image

from tombola.errors import DataError

Pixels = npt.NDArray[np.uint8]

_CHUNK = 256  # images a task
# Pillow parses headers under the interpreter's lock and lets go of it for the pixels only. Measured on
# two cores: a second thread makes 32×32 JPEGs slower (85 -> 120 µs each), 64×64 a little faster
# (146 -> 120), 160×160 twice as fast (360 -> 190).
_SIZE_WORTH_THREADS = 64
# Pillow knows some forty more, few of them looked after, and one (EPS) for which it starts another program.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF", "PPM")
# Modes that begin so hold more than 8 bits a channel (I, I;16, F), which convert("RGB") would clip.
_DEEP = ("I", "F")


class ShapeError(DataError):
    """An image that is not square, or not of the others' size: such images cannot lie in one array."""


def decode(cells: Sequence[bytes | None], where: str, names: Sequence[str] | None = None) -> Pixels:
    """The images in `cells` (of one of `FORMATS`) as uint8 of shape (N, S, S, C).

    C is 1 when every image is 8-bit grey (Pillow's mode L), else 3 (RGB). `where` names the file that has
    them as rows; images that are files of their own have `names`, one each, instead.
    Raises DataError, naming the image, for bytes that are no image, for one of more pixels than Pillow takes
    (twice Image.MAX_IMAGE_PIXELS, before they take any memory) and for more than 8 bits a channel; ShapeError
    for a shape that is not square or not that of the first.
    """

    def called(row: int) -> str:
        return f"{where} row {row}" if names is None else names[row]

    if not cells:
        return np.zeros((0, 0, 0, 1), dtype=np.uint8)
    (width, height), _ = _open(cells[0], called(0))
    if width != height:
        raise ShapeError(f"{called(0)}: images must be square, got {height}×{width} (height × width)")
    first_image = "row 0" if names is None else names[0]

    def chunk(first: int) -> Pixels:
        pixels = []
        for row, cell in enumerate(cells[first : first + _CHUNK], first):
            size, data = _open(cell, called(row))
            if size != (width, height):
                raise ShapeError(
                    f"{called(row)}: an image of {size[1]}×{size[0]} (height × width) where "
                    f"{first_image} has {height}×{width}; all must have one shape"
                )
            pixels.append(data)
        return _stack(pixels, width)

    starts = range(0, len(cells), _CHUNK)
    if width < _SIZE_WORTH_THREADS:
        return concatenate([chunk(first) for first in starts])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return concatenate(list(pool.map(chunk, starts)))


def concatenate(parts: Sequence[Pixels]) -> Pixels:
    """The rows of all `parts`; grey ones become RGB, three times the same value, if any part is RGB."""
    channels = max(part.shape[3] for part in parts)
    return np.concatenate([widen(part, channels) for part in parts])


def widen(pixels: Pixels, channels: int) -> Pixels:
    """`pixels` with `channels` channels: themselves, or grey repeated."""
    return pixels if pixels.shape[3] == channels else np.repeat(pixels, channels, axis=3)


def _open(cell: bytes | None, where: str) -> tuple[tuple[int, int], bytes]:
    """(width, height) of one image and its bytes: one a pixel in mode L, else three."""
    if cell is None:
        raise DataError(f"{where}: no image bytes (null)")
    try:
        with Image.open(io.BytesIO(cell), formats=FORMATS) as image:
            check_depth(image, where)
            plain: Image.Image = image if image.mode in ("L", "RGB") else image.convert("RGB")
            return plain.size, plain.tobytes()
    except DataError:
        raise
    except Exception as error:
        # Broken bytes raise OSError, SyntaxError, ValueError, struct.error, … by format.
        raise DataError(f"{where}: cannot decode the image ({one_line(error)})") from error


def check_depth(image: Image.Image, where: str) -> None:
    """Raise DataError for an image, called `where`, of more than 8 bits a channel."""
    if image.mode.startswith(_DEEP):
        raise DataError(f"{where}: an image of mode {image.mode}, expected at most 8 bits a channel")


def _stack(pixels: list[bytes], size: int) -> Pixels:
    """Raw images of one size, grey or RGB by their length, as one array."""
    lengths = {len(data) for data in pixels}
    if len(lengths) > 1:
        return concatenate([_stack([data], size) for data in pixels])
    return np.frombuffer(b"".join(pixels), dtype=np.uint8).reshape(len(pixels), size, size, -1)


def one_line(error: Exception) -> str:
    """The message of `error` on one line, without the address of the buffer that Pillow adds."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.split(" <", maxsplit=1)[0]
