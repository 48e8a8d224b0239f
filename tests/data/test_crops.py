"""Crops against the formula again, in plain numpy, and against what is known of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tombola.data.crops import WORDS, Box, central_box, mirrored, random_box, reduced, reduction
from tombola.rng import Stream, Words

SIDES = st.integers(1, 900)


def words(index: int) -> Words:
    return Stream(7, "test", "words").words(WORDS, WORDS * index)


def reference(width: int, height: int, drawn: Words) -> tuple[float, ...]:
    """All ten attempts at once; the first that fits."""
    u: npt.NDArray[np.float64] = drawn[:40].reshape(10, 4) / 2**32
    area = width * height * (0.08 + 0.92 * u[:, 0])
    ratio = (3 / 4) * ((4 / 3) / (3 / 4)) ** u[:, 1]
    w, h = np.rint(np.sqrt(area * ratio)), np.rint(np.sqrt(area / ratio))
    fits = np.flatnonzero((w <= width) & (h <= height) & (w > 0) & (h > 0))
    if len(fits) == 0:
        return ()
    k = fits[0]
    return np.floor(u[k, 2] * (width - w[k] + 1)), np.floor(u[k, 3] * (height - h[k] + 1)), w[k], h[k]


@pytest.mark.parametrize(("width", "height"), [(500, 375), (375, 500), (224, 224), (640, 161), (31, 40)])
def test_random_crops_are_those_of_the_formula(width: int, height: int) -> None:
    found = [(random_box(width, height, words(i)), reference(width, height, words(i))) for i in range(300)]
    assert all(tuple(box) == expected for box, expected in found if expected)
    assert sum(bool(expected) for _, expected in found) > 250


@given(SIDES, SIDES, st.integers(0, 1000))
def test_every_crop_lies_in_its_image(width: int, height: int, index: int) -> None:
    for box in (random_box(width, height, words(index)), central_box(width, height)):
        left, top, right, bottom = box.corners
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height


def test_where_no_crop_fits_the_greatest_central_one_is_taken() -> None:
    assert random_box(1000, 30, words(0)) == Box(480, 0, 40, 30)
    assert random_box(30, 1000, words(0)) == Box(0, 480, 30, 40)


def test_areas_are_uniform_and_half_are_mirrored() -> None:
    boxes = [random_box(4000, 4000, words(i)) for i in range(2000)]
    areas = np.array([box.width * box.height for box in boxes]) / 4000**2
    # Great crops fit less often than small ones: only below 3/4 every attempt fits.
    small = areas[areas < 0.75]
    assert areas.min() > 0.079
    assert small.mean() == pytest.approx((0.08 + 0.75) / 2, abs=0.015)
    assert sum(mirrored(words(i)) for i in range(2000)) == pytest.approx(1000, abs=70)


@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((256, 256), Box(16, 16, 224, 224)),
        ((320, 256), Box(48, 16, 224, 224)),
        ((512, 640), Box(32, 96, 448, 448)),
        ((1, 9), Box(0, 4, 1, 1)),
    ],
)
def test_the_central_crop(size: tuple[int, int], box: Box) -> None:
    assert central_box(*size) == box


@pytest.mark.parametrize(
    ("side", "size", "factor"), [(223, 224, 1), (447, 224, 1), (448, 224, 2), (900, 224, 4), (9000, 224, 8)]
)
def test_reduction_leaves_enough_pixels(side: int, size: int, factor: int) -> None:
    assert reduction(Box(5, 5, side, 2 * side), size) == factor
    assert reduction(Box(5, 5, 2 * side, side), size) == factor


@given(SIDES, SIDES, st.integers(0, 100), st.sampled_from([1, 2, 4, 8]))
def test_boxes_are_scaled_into_the_reduced_image(width: int, height: int, index: int, by: int) -> None:
    box = random_box(width, height, words(index))
    after = (-(-width // by), -(-height // by))
    left, top, right, bottom = reduced(box, by, after).corners
    assert 0 <= left < right <= after[0]
    assert 0 <= top < bottom <= after[1]
    if min(box.width, box.height) >= by:
        assert max(abs(left * by - box.left), abs(bottom * by - box.corners[3])) <= by
    if by == 1:
        assert reduced(box, 1, after) == box
