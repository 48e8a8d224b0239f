"""One image at a time: every kind becomes RGB of the size asked for, and damage is named."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from photos import encoded, photo
from tombola.data.crops import WORDS, mirrored, random_box
from tombola.data.streaming.decoding import Task, decode_cell, decode_task
from tombola.data.streaming.images import Cell
from tombola.errors import DataError
from tombola.rng import Stream, Words


def cell(data: bytes | None) -> Cell:
    return Cell("images/1.JPEG", data)


def words(index: int) -> Words:
    return Stream(3, "test", "words").words(WORDS, WORDS * index)


def difference(one: torch.Tensor, other: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.abs(one.numpy().astype(np.int64) - np.asarray(other).astype(np.int64))


@pytest.mark.parametrize("index", range(8))
@pytest.mark.parametrize("size", [24, 90])
def test_a_random_crop_is_pillows(index: int, size: int) -> None:
    """The crop by itself, made larger or smaller, then mirrored: by Pillow's resampling, within rounding."""
    image = photo(90, 70)
    box = random_box(90, 70, words(index))
    expected = image.crop(box.corners).resize((size, size), Image.Resampling.BILINEAR)
    if mirrored(words(index)):
        expected = expected.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert difference(decode_cell(cell(encoded(image)), size, words(index)), expected).max() <= 1


def test_some_are_mirrored_and_some_are_not() -> None:
    assert len({mirrored(words(index)) for index in range(8)}) == 2


def test_evaluation_cuts_out_the_middle() -> None:
    image = photo(320, 256)
    found = decode_cell(cell(encoded(image)), 224, None)
    assert difference(found, image.crop((48, 16, 272, 240))).max() == 0


def test_evaluation_is_the_custom_of_resizing_first() -> None:
    image = photo(640, 512)
    custom = image.resize((320, 256), Image.Resampling.BILINEAR).crop((48, 16, 272, 240))
    found = difference(decode_cell(cell(encoded(image)), 224, None), custom)
    assert found[1:-1, 1:-1].max() <= 1  # the outermost pixels know of none beyond the crop


@pytest.mark.parametrize("random", [False, True])
def test_large_jpegs_are_decoded_at_a_fraction_of_their_size(
    random: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = photo(801, 603)
    data = encoded(image, "JPEG", quality=95)
    drawn = words(1) if random else None
    fast = decode_cell(cell(data), 32, drawn).numpy().astype(int)
    monkeypatch.setattr("tombola.data.streaming.decoding.reduction", lambda *_: 1)
    slow = decode_cell(cell(data), 32, drawn).numpy().astype(int)
    assert (fast != slow).any()
    assert np.abs(fast - slow).mean() < 1.5


KINDS: dict[str, Callable[[Image.Image], bytes]] = {
    "grey JPEG": lambda image: encoded(image.convert("L"), "JPEG"),
    "CMYK JPEG": lambda image: encoded(image.convert("CMYK"), "JPEG", quality=95),
    "RGBA": lambda image: encoded(image.convert("RGBA")),
    "grey with alpha": lambda image: encoded(image.convert("LA")),
    "palette": lambda image: encoded(image.convert("P")),
    "palette with transparency": lambda image: encoded(image.convert("P"), transparency=bytes(range(200))),
    "black and white": lambda image: encoded(image.convert("1")),
    "PNG in the place of a JPEG": encoded,
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_becomes_rgb(kind: str) -> None:
    image = photo(320, 256)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = decode_task(Task((cell(KINDS[kind](image)),), 224, None))
    assert (found.dtype, found.shape) == (torch.uint8, (1, 224, 224, 3))
    shown = image.crop((48, 16, 272, 240))
    expected = shown.convert("L").convert("RGB") if kind.startswith(("grey", "black")) else shown
    # One bit a pixel, or a palette of 256, is right on average only.
    assert abs(found.float().mean() - np.asarray(expected).mean()) < 6
    if "palette" not in kind and "black" not in kind:
        assert difference(found[0], expected).mean() < 4


def test_an_orientation_in_exif_data_is_not_applied() -> None:
    image = photo(320, 256)
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    turned = decode_cell(cell(encoded(image, "JPEG", exif=exif)), 32, None)
    assert torch.equal(turned, decode_cell(cell(encoded(image, "JPEG")), 32, None))


def test_images_of_one_pixel_are_images() -> None:
    one = cell(encoded(Image.new("RGB", (1, 1), (9, 8, 7))))
    for drawn in (None, words(0)):
        assert decode_cell(one, 3, drawn).reshape(9, 3).tolist() == [[9, 8, 7]] * 9


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "cannot decode the image"),
        (b"no image", "cannot decode the image"),
        (encoded(photo(16, 16), "ICO"), "cannot decode the image"),  # a format that no data set needs
        (encoded(photo(90, 90), "JPEG")[:400], "cannot decode the image"),
        (encoded(photo(90, 90))[:-900], "cannot decode the image"),
        (encoded(Image.fromarray(np.zeros((4, 4), dtype=np.uint16))), "mode I;16, expected at most 8 bits"),
    ],
)
def test_damage_is_one_line_that_names_the_image(data: bytes, said: str) -> None:
    with pytest.raises(DataError, match=f"^images/1.JPEG: .*{said}") as caught:
        decode_task(Task((cell(data),), 16, None))
    assert "\n" not in str(caught.value)


def test_a_file_that_has_gone_is_named(tmp_path: Path) -> None:
    path = tmp_path / "1.JPEG"
    with pytest.raises(DataError, match=f"^{path}: No such file or directory$"):
        decode_cell(Cell(str(path), None), 16, None)
    path.write_bytes(encoded(photo(20, 20)))
    assert decode_cell(Cell(str(path), None), 16, None).shape == (16, 16, 3)
