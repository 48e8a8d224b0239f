"""crop_and_flip against one image at a time in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tombola.data import Augmentation, crop_and_flip
from tombola.errors import ArgumentError


def naive(
    images: torch.Tensor, pad: int, ys: torch.Tensor, xs: torch.Tensor, flips: torch.Tensor
) -> torch.Tensor:
    results = []
    _, height, width, _ = images.shape
    for image, y, x, flip in zip(images.numpy(), ys.tolist(), xs.tolist(), flips.tolist(), strict=True):
        padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)))
        crop = padded[y : y + height, x : x + width]
        results.append(crop[:, ::-1] if flip else crop)
    return torch.from_numpy(np.stack(results))


def draw(
    n: int, pad: int, shape: tuple[int, int, int], seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    ys, xs = (torch.from_numpy(rng.integers(0, 2 * pad + 1, n)) for _ in range(2))
    images = torch.from_numpy(rng.integers(1, 256, (n, *shape), dtype=np.uint8))
    return images, ys, xs, torch.from_numpy(rng.random(n) < 0.5)


@given(
    st.integers(1, 9),
    st.integers(0, 5),
    st.tuples(st.integers(1, 7), st.integers(1, 7), st.sampled_from([1, 2, 3])),
    st.integers(0, 2**32),
)
def test_as_one_image_at_a_time(n: int, pad: int, shape: tuple[int, int, int], seed: int) -> None:
    images, ys, xs, flips = draw(n, pad, shape, seed)
    result = crop_and_flip(images, pad, ys, xs, flips)
    assert torch.equal(result, naive(images, pad, ys, xs, flips))
    assert result.is_contiguous()


def test_the_middle_offset_changes_nothing_and_the_input_stays() -> None:
    images = draw(5, 2, (6, 6, 3))[0]
    before = images.clone()
    middle = torch.full((5,), 2)
    result = crop_and_flip(images, 2, middle, middle, torch.zeros(5, dtype=torch.bool))
    assert torch.equal(result, before)
    result.zero_()
    assert torch.equal(images, before)


def test_a_corner_by_hand() -> None:
    image = torch.tensor([[1, 2], [3, 4]], dtype=torch.uint8).view(1, 2, 2, 1)
    zero, yes = torch.zeros(1, dtype=torch.int64), torch.ones(1, dtype=torch.bool)
    corner = crop_and_flip(image, 1, zero, zero, ~yes)
    assert corner.view(2, 2).tolist() == [[0, 0], [0, 1]]
    assert crop_and_flip(image, 1, zero, zero, yes).view(2, 2).tolist() == [[0, 0], [1, 0]]


def test_any_memory_layout_and_no_images() -> None:
    images, ys, xs, flips = draw(4, 2, (6, 5, 3))
    strided = images.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    assert not strided.is_contiguous()
    expected = naive(images, 2, ys, xs, flips)
    assert torch.equal(crop_and_flip(strided, 2, ys, xs, flips), expected)
    assert crop_and_flip(images[:0], 2, ys[:0], xs[:0], flips[:0]).shape == (0, 6, 5, 3)


def test_no_operation_depends_on_values() -> None:
    # Tensors without values: whatever would make a GPU's host wait raises here.
    images, ys, xs, flips = (tensor.to("meta") for tensor in draw(4, 2, (6, 6, 3)))
    assert crop_and_flip(images, 2, ys, xs, flips).shape == (4, 6, 6, 3)


@pytest.mark.parametrize("pad", [-1, 257, True, 1.5])
def test_a_bad_pad_is_refused(pad: int) -> None:
    with pytest.raises(ArgumentError, match="pad must be an integer"):
        Augmentation(pad=pad, flip=False)
