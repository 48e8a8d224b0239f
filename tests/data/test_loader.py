"""Share: which part of every batch a process makes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tombola import ArgumentError
from tombola.data import Augmentation, Batches, Split
from tombola.data.loader import Share


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 9))
def test_shares_are_a_batch_cut_in_order_into_nearly_equal_parts(first: int, size: int, count: int) -> None:
    parts = [Share(rank, count).of(first, first + size) for rank in range(count)]
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(first, first + size))
    sizes = [part.stop - part.start for part in parts]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(("rank", "count"), [(-1, 2), (2, 2), (0, 0)])
def test_a_rank_that_is_none_is_refused(rank: int, count: int) -> None:
    with pytest.raises(ArgumentError, match=rf"rank must be in \[0, {count}\).*got {rank}"):
        Share(rank, count)


def images(n: int) -> Split:
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (n, 6, 6, 3), dtype=torch.uint8, generator=generator)
    return Split(pixels, torch.arange(n))


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("shuffle", [True, False])
def test_the_shares_of_all_processes_together_are_the_batches_of_one(count: int, shuffle: bool) -> None:
    def batches(share: Share) -> list[tuple[torch.Tensor, torch.Tensor]]:
        made = Batches(
            images(23),
            7,
            mean=(0.5, 0.5, 0.5),
            std=(1, 1, 1),
            seed=4,
            shuffle=shuffle,
            augmentation=Augmentation(pad=2, flip=True),
            share=share,
        )
        assert [made.size(step) for step in range(len(made))] == [7, 7, 7, 2]
        return list(made.epoch(1, start=1))

    whole = batches(Share())
    parts = [batches(Share(rank, count)) for rank in range(count)]
    for step, (x, y) in enumerate(whole):
        assert torch.equal(torch.cat([part[step][0] for part in parts]), x)
        assert torch.equal(torch.cat([part[step][1] for part in parts]), y)


def test_a_batch_too_small_for_all_processes_is_refused() -> None:
    with pytest.raises(ArgumentError, match="a batch of 2 examples cannot be shared by 3 processes"):
        Batches(images(9), 2, mean=(0, 0, 0), std=(1, 1, 1), shuffle=True, share=Share(0, 3))
