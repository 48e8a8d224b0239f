"""Which part of an image is shown: random resized crops for training, the central one for evaluation.

Pure functions of an image's size and of random words, so that an image's crop depends on nothing but where
it stands in its epoch. Source of the random one: Szegedy et al., "Going deeper with convolutions", CVPR
2015, section 6 (area and ratio drawn, ten attempts and a central crop as everyone implements it).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from tombola.rng import WORD_RANGE, Words

SCALE = (0.08, 1.0)
"""Least and greatest part of the image's area that a training crop has."""
RATIO = (3 / 4, 4 / 3)
"""Least and greatest width of a training crop, in units of its height."""
CENTRE = 224 / 256
"""The evaluation crop's side, in units of the image's shorter side."""
_ATTEMPTS = 10
WORDS = 4 * _ATTEMPTS + 1
"""Random words that one image takes: four an attempt, and one to mirror it."""
_LARGEST_REDUCTION = 8  # libjpeg's


class Box(NamedTuple):
    """A part of an image, in whole pixels."""

    left: int
    top: int
    width: int
    height: int

    @property
    def corners(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom, as Pillow has them."""
        return self.left, self.top, self.left + self.width, self.top + self.height


def random_box(width: int, height: int, words: Words) -> Box:
    """A training crop of an image of `width` × `height` pixels, from `WORDS` uniform 32-bit words.

    Its area is uniform in `SCALE` of the image's, the logarithm of its ratio uniform in `RATIO`, its place
    uniform. Where ten such crops have not fitted into the image, the greatest central one of a ratio in
    `RATIO`.
    """
    low, high = (math.log(bound) for bound in RATIO)
    for attempt in range(_ATTEMPTS):
        area, ratio, across, down = (int(word) for word in words[4 * attempt : 4 * attempt + 4])
        target = width * height * (SCALE[0] + (SCALE[1] - SCALE[0]) * area / WORD_RANGE)
        shape = math.exp(low + (high - low) * ratio / WORD_RANGE)
        w, h = round(math.sqrt(target * shape)), round(math.sqrt(target / shape))
        if 0 < w <= width and 0 < h <= height:
            return Box(_below(across, width - w + 1), _below(down, height - h + 1), w, h)
    return _central(width, height, min(width, round(height * RATIO[1])), min(height, round(width / RATIO[0])))


def central_box(width: int, height: int) -> Box:
    """The evaluation crop: the central square of 224/256 of the shorter side, to the nearest pixel.

    It is what is left when the shorter side is made 256 pixels and the middle 224 are cut out, as is the
    custom, without computing the rest.
    """
    side = max(1, round(min(width, height) * CENTRE))
    return _central(width, height, side, side)


def mirrored(words: Words) -> bool:
    """Whether the image of these `WORDS` words is shown mirrored: half of them are."""
    return int(words[WORDS - 1]) < WORD_RANGE // 2


def reduction(box: Box, size: int) -> int:
    """The greatest of 1, 2, 4, 8 by which an image may be reduced, as JPEG decoders do at little cost, so
    that its `box` still has at least `size` pixels each way.
    """
    factor = _LARGEST_REDUCTION
    while factor > 1 and min(box.width, box.height) < factor * size:
        factor //= 2
    return factor


def reduced(box: Box, factor: int, size: tuple[int, int]) -> Box:
    """`box` of an image in the same image reduced by `factor` to `size` (width, height), of which each pixel
    stands for `factor` × `factor` of it, to the nearest pixel.
    """
    left, top, right, bottom = (round(side / factor) for side in box.corners)
    x, y = min(left, size[0] - 1), min(top, size[1] - 1)
    return Box(x, y, max(1, min(right, size[0]) - x), max(1, min(bottom, size[1]) - y))


def _central(width: int, height: int, w: int, h: int) -> Box:
    return Box((width - w) // 2, (height - h) // 2, w, h)


def _below(word: int, bound: int) -> int:
    """A whole number in [0, bound) from a uniform word (bias below bound / 2^32)."""
    return word * bound >> 32
