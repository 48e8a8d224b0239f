"""Batches: what is drawn, in which order, and how pixels become numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from data_helpers import noise
from hypothesis import given
from hypothesis import strategies as st

from tombola.data import Augmentation, Batches, Split, crop_and_flip
from tombola.errors import ArgumentError
from tombola.rng import Stream

MEAN, STD = (0.5, 0.4, 0.3), (0.25, 0.5, 0.2)


def numbered(n: int, size: int = 4, channels: int = 3) -> Split:
    """Random images; the label of an image is its index."""
    return Split(torch.from_numpy(noise(n, size, channels)), torch.arange(n))


def make(n: int = 23, batch_size: int = 5, **options: Any) -> Batches:
    return Batches(numbered(n), batch_size, **{"mean": MEAN, "std": STD, **options})


def by_definition(images: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(v, dtype=torch.float64).view(1, -1, 1, 1) for v in (MEAN, STD))
    return ((images.permute(0, 3, 1, 2).double() / 255 - mean) / std).float()


@pytest.mark.parametrize("channels_last", [False, True])
def test_in_order_and_normalised(channels_last: bool) -> None:
    split, batches = numbered(23), make(channels_last=channels_last)
    xs, ys = zip(*batches.epoch(0), strict=True)
    assert torch.cat(ys).tolist() == list(range(23))
    x = torch.cat(xs)
    assert x.dtype == torch.float32
    assert x.shape == (23, 3, 4, 4)
    torch.testing.assert_close(x, by_definition(split.images), rtol=1e-5, atol=1e-6)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    assert all(x.is_contiguous(memory_format=layout) for x in xs)


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 3), st.integers(0, 2**64 - 1))
def test_an_epoch_is_the_permutation_that_is_drawn(n: int, batch_size: int, epoch: int, seed: int) -> None:
    batches = make(n, batch_size, shuffle=True, seed=seed)
    labels = [y for _, y in batches.epoch(epoch)]
    assert len(labels) == len(batches)
    assert torch.cat(labels).tolist() == Stream(seed, "data", "order", epoch).permutation(n).tolist()


@given(st.integers(1, 30), st.integers(1, 9), st.integers(0, 99), st.booleans())
def test_a_resumed_epoch_is_the_tail_of_the_whole(n: int, batch_size: int, start: int, drop: bool) -> None:
    batch_size = min(batch_size, n)
    options: dict[str, Any] = {"augmentation": Augmentation(2, True), "drop_last": drop}
    batches = make(n, batch_size, shuffle=True, seed=7, **options)
    start = start % (len(batches) + 1)
    tail, whole = list(batches.epoch(2, start)), list(batches.epoch(2))
    assert len(tail) == len(whole) - start
    for (x, y), (x_whole, y_whole) in zip(tail, whole[start:], strict=True):
        assert torch.equal(x, x_whole)
        assert torch.equal(y, y_whole)


def test_augmented_as_drawn_by_position() -> None:
    n, pad, epoch = 23, 2, 3
    split = numbered(n)
    batches = make(n, shuffle=True, seed=5, augmentation=Augmentation(pad, True))

    def stream(purpose: str) -> Stream:
        return Stream(5, "data", purpose, epoch)

    order = torch.from_numpy(stream("order").permutation(n))
    ys, xs = (torch.from_numpy(stream(p).integers(n, 2 * pad + 1)) for p in ("crop-y", "crop-x"))
    flips = torch.from_numpy(stream("flip").bernoulli(n, 0.5))
    expected = by_definition(crop_and_flip(split.images[order], pad, ys, xs, flips))
    got = torch.cat([x for x, _ in batches.epoch(epoch)])
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)


def test_without_flip_no_image_is_mirrored() -> None:
    split = numbered(16)
    batches = make(16, 16, shuffle=True, augmentation=Augmentation(0, False))
    x, y = next(batches.epoch(0))
    torch.testing.assert_close(x, by_definition(split.images[y]), rtol=1e-5, atol=1e-6)


def test_both_layouts_hold_the_same_numbers() -> None:
    options: dict[str, Any] = {"shuffle": True, "augmentation": Augmentation(1, True)}
    plain, last = make(**options), make(**options, channels_last=True)
    for (x, _), (x_last, _) in zip(plain.epoch(1), last.epoch(1), strict=True):
        assert torch.equal(x, x_last)


def test_the_same_seed_gives_the_same_epoch_and_others_do_not() -> None:
    first, again, other = (make(shuffle=True, seed=seed) for seed in (1, 1, 2))

    def labels(batches: Batches, epoch: int) -> list[int]:
        return torch.cat([y for _, y in batches.epoch(epoch)]).tolist()

    torch.manual_seed(123)  # the global generator has no say
    np.random.seed(123)
    assert labels(first, 0) == labels(again, 0)
    assert labels(first, 0) != labels(first, 1)
    assert labels(first, 0) != labels(other, 0)


def test_without_shuffle_nothing_is_augmented() -> None:
    batches = make(augmentation=Augmentation(2, True))
    torch.testing.assert_close(
        torch.cat([x for x, _ in batches.epoch(0)]), by_definition(numbered(23).images), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("n", "size", "drop", "batches"),
    [(20, 5, False, 4), (21, 5, False, 5), (21, 5, True, 4), (0, 5, True, 0)],
)
def test_length(n: int, size: int, drop: bool, batches: int) -> None:
    made = make(n, size, drop_last=drop)
    assert len(made) == batches
    assert [len(y) for _, y in made.epoch(0)] == [min(size, n - i * size) for i in range(batches)]


def test_a_batch_may_be_changed_without_harm() -> None:
    batches = make()
    for x, y in batches.epoch(0):
        x.zero_()
        assert y.dtype == torch.int64
    assert all(x.abs().sum() > 0 for x, _ in batches.epoch(0))


def test_grey_images() -> None:
    batches = Batches(numbered(6, channels=1), 4, mean=(0.0,), std=(1.0,), channels_last=True)
    x, _ = next(batches.epoch(0))
    torch.testing.assert_close(x[:, 0], numbered(6, channels=1).images[:4, ..., 0] / 255)


def test_a_split_of_any_memory_layout() -> None:
    split = numbered(5)
    strided = Split(split.images.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1), split.labels)
    x, _ = next(Batches(strided, 5, mean=MEAN, std=STD).epoch(0))
    torch.testing.assert_close(x, by_definition(split.images), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be an integer of at least 1, got 0"),
        ({"batch_size": 2.0}, "batch_size must be an integer"),
        ({"batch_size": True}, "batch_size must be an integer"),
        ({"mean": (0.5,)}, "mean and std .* 3 channels"),
        ({"std": (0.5, 0.5)}, "mean and std .* 3 channels"),
        ({"std": (0.5, 0.0, 0.5)}, "mean and std"),
        ({"std": (0.5, float("nan"), 0.5)}, "mean and std"),
        ({"seed": -1}, "seed"),
        ({"drop_last": True, "batch_size": 24}, "drop_last leaves no batch of 24 out of 23 images"),
    ],
)
def test_rejections(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make(**options)


@pytest.mark.parametrize(("epoch", "start"), [(-1, 0), (0, -1), (0, 6)])
def test_epochs_that_do_not_exist_are_refused_at_once(epoch: int, start: int) -> None:
    with pytest.raises(ArgumentError, match="5 batches"):
        make().epoch(epoch, start)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("channels_last", [False, True])
def test_a_tables_rows_are_left_as_they_are(shuffle: bool, channels_last: bool) -> None:
    """They are float32 already: a cast makes no copy of them."""
    rows = torch.tensor([[5.0, 1.0], [7.0, 3.0], [9.0, 2.0]]).view(3, 1, 1, 2)
    split = Split(rows.clone(), torch.tensor([0, 1, 0]))
    batches = Batches(split, 2, mean=(7.0, 2.0), std=(2.0, 1.0), shuffle=shuffle, channels_last=channels_last)
    epochs = [torch.cat([x for x, _ in batches.epoch(0)]) for _ in range(3)]
    assert torch.equal(split.images, rows)
    assert torch.equal(epochs[0], epochs[2])
    assert sorted(epochs[2][:, 0].flatten().tolist()) == [-1.0, 0.0, 1.0]
