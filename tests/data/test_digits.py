"""The digits: a fixed test split, everything else a function of the seed."""

from __future__ import annotations

import hashlib
import sys

import pytest
import torch

from tombola.data import Augmentation, Dataset, Split, load
from tombola.errors import ArgumentError, TombolaError


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


def images_of(*splits: Split) -> set[bytes]:
    """Images as bytes: all 1,797 are different, so a set tells splits apart."""
    return {image.numpy().tobytes() for split in splits for image in split.images}


def test_shapes_ranges_and_description(digits: Dataset) -> None:
    assert (digits.name, digits.in_channels, digits.classes, digits.image_size) == ("digits", 1, 10, 8)
    assert digits.class_names == tuple("0123456789")
    assert digits.augmentation == Augmentation(pad=1, flip=False)
    for split in (digits.train, digits.validation, digits.test):
        assert split.images.shape[1:] == (8, 8, 1)
        assert split.images.is_contiguous()
        assert (int(split.images.min()), int(split.images.max())) == (0, 255)
        assert sorted(set(split.labels.tolist())) == list(range(10))
    assert 0 < digits.mean[0] < 1
    assert 0 < digits.std[0] < 1


def test_levels_are_sixteenths(digits: Dataset) -> None:
    expected = {round(255 * value / 16) for value in range(17)}
    assert set(digits.train.images.flatten().tolist()) == expected


def test_splits_are_disjoint_and_hold_everything(digits: Dataset) -> None:
    parts = (digits.train, digits.validation, digits.test)
    assert sum(map(len, parts)) == 1797
    assert len(images_of(*parts)) == 1797


def test_a_fifth_of_each_class_is_for_the_test(digits: Dataset) -> None:
    labels = torch.cat([s.labels for s in (digits.train, digits.validation, digits.test)])
    for digit in range(10):
        assert int((digits.test.labels == digit).sum()) == round(0.2 * int((labels == digit).sum()))


def test_the_test_split_is_the_same_for_every_seed_and_fraction(digits: Dataset) -> None:
    for other in (load("digits", seed=9), load("digits", validation=0.0)):
        assert torch.equal(other.test.images, digits.test.images)
        assert torch.equal(other.test.labels, digits.test.labels)
    # Golden: the images that every published figure on digits is of.
    assert hashlib.sha256(digits.test.images.numpy().tobytes()).hexdigest()[:16] == "d4ea9014941755c7"


def test_the_validation_split_follows_the_seed(digits: Dataset) -> None:
    same, other = load("digits", seed=0), load("digits", seed=1)
    assert torch.equal(same.validation.images, digits.validation.images)
    assert same.mean == digits.mean
    assert images_of(other.validation) != images_of(digits.validation)
    assert images_of(other.train, other.validation) == images_of(digits.train, digits.validation)


def test_a_folder_is_refused() -> None:
    with pytest.raises(ArgumentError, match="digits comes with scikit-learn and reads no folder"):
        load("digits", data_dir="/tmp")


def test_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(TombolaError, match=r"pip install 'tombola\[torch\]'"):
        load("digits")
