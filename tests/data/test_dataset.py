"""Split, moments, and what a data set says of itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from data_helpers import noise

from tombola.data import Augmentation, Split
from tombola.data.dataset import Arrays, assemble, moments
from tombola.errors import ArgumentError


def test_moments_as_numpy_has_them() -> None:
    pixels = noise(2500, size=3)  # more than one block
    mean, std = moments(pixels)
    np.testing.assert_allclose(mean, (pixels / 255).mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, (pixels / 255).std((0, 1, 2)), rtol=1e-12)


def test_moments_by_hand() -> None:
    images = np.array([0, 255], dtype=np.uint8).reshape(1, 1, 2, 1)
    assert moments(images) == ((0.5,), (0.5,))


def test_a_channel_of_one_value_has_deviation_one() -> None:
    images = np.zeros((2, 2, 2, 3), dtype=np.uint8)
    images[0, ..., 1] = 51
    mean, std = moments(images)
    assert mean == (0.0, 0.1, 0.0)
    assert std[0] == std[2] == 1.0
    assert math.isclose(std[1], 0.1)


def test_assemble_measures_the_training_part_only() -> None:
    pixels, labels = noise(40), np.arange(40, dtype=np.int64) % 2
    arrays = Arrays(pixels, labels)
    made = assemble("made", arrays, arrays, ("a", "b"), augmentation=None, seed=3, validation=0.25)
    assert (len(made.train), len(made.validation), len(made.test)) == (30, 10, 40)
    assert made.mean == moments(made.train.images.numpy())[0] != moments(pixels)[0]
    assert (made.in_channels, made.classes, made.image_size) == (3, 2, 4)
    together = torch.cat((made.train.images, made.validation.images))
    assert {image.numpy().tobytes() for image in together} == {image.tobytes() for image in pixels}


def test_training_images_are_augmented_unless_told_otherwise() -> None:
    arrays = Arrays(noise(8), np.zeros(8, dtype=np.int64))
    customary = Augmentation(pad=1, flip=True)
    made = assemble("made", arrays, arrays, ("a",), augmentation=customary, seed=0, validation=0.0)
    assert made.training(4, seed=0).augmentation == customary
    assert made.training(4, seed=0, augment=False).augmentation is None


def test_an_empty_validation_split() -> None:
    arrays = Arrays(noise(4), np.zeros(4, dtype=np.int64))
    made = assemble("made", arrays, arrays, ("a",), augmentation=None, seed=0, validation=0.0)
    assert (len(made.train), len(made.validation)) == (4, 0)
    assert made.validation.images.shape == (0, 4, 4, 3)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(2, 4, 4, 3), torch.zeros(2, dtype=torch.int64), "images must be uint8"),
        (torch.zeros(2, 4, 4, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64), "images must be uint8"),
        (torch.zeros(2, 4, 4, 3, dtype=torch.uint8), torch.zeros(2), "labels must be int64"),
        (torch.zeros(2, 4, 4, 3, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64), r"shape \(2,\)"),
    ],
)
def test_a_split_of_other_types_or_shapes_is_refused(
    images: torch.Tensor, labels: torch.Tensor, message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        Split(images, labels)
