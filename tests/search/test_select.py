"""Selection: exact limits on either path, straight-through gradients by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tombola.mask import top_k
from tombola.search.select import Ranks, limits_on_cpu, limits_on_device, select
from tombola.search.straight_through import Limit, keep_only, kept, masked_weight
from tombola.search.threshold import Tracker

PATHS = pytest.mark.parametrize("path", ["cpu", "device"])


def masks_of(
    path: str, ranks: list[torch.Tensor], keep: int, alive: list[torch.Tensor] | None = None
) -> list[torch.Tensor]:
    pairs: list[Ranks] = [(values, None if alive is None else alive[i]) for i, values in enumerate(ranks)]
    limits = limits_on_cpu(pairs, keep, Tracker()) if path == "cpu" else limits_on_device(pairs, keep)
    return [kept(values, limit, reach) for (values, reach), limit in zip(pairs, limits, strict=True)]


@PATHS
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=40), st.data())
def test_the_greatest_are_kept_of_ties_the_first(path: str, values: list[int], data: st.DataObject) -> None:
    keep = data.draw(st.integers(0, len(values)))
    split = data.draw(st.integers(0, len(values)))
    alive = data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    flat = torch.tensor(values, dtype=torch.float32)
    # By sorting: Python's is stable, so of equal values the earlier come first.
    order = [i for i in sorted(range(len(values)), key=lambda i: -values[i]) if alive[i]]
    expected = [i in order[:keep] for i in range(len(values))]
    parts = [flat[:split], flat[split:]]
    reach = [torch.tensor(alive[:split], dtype=torch.bool), torch.tensor(alive[split:], dtype=torch.bool)]
    assert torch.cat(masks_of(path, parts, keep, reach)).tolist() == expected


@PATHS
def test_one_threshold_over_several_tensors(path: str) -> None:
    first, second = torch.tensor([[5.0, 1.0]]), torch.tensor([3.0, 5.0, 5.0])
    a, b = masks_of(path, [first, second], 2)
    assert a.tolist() == [[True, False]]
    assert b.tolist() == [False, True, False]  # the tie at 5 goes to the earlier entry


@PATHS
def test_ties_are_counted_in_logical_order_whatever_the_layout(path: str) -> None:
    values = torch.randint(0, 3, (4, 6, 3, 3), generator=torch.Generator().manual_seed(0)).float()
    alive = torch.rand(values.shape, generator=torch.Generator().manual_seed(1)) > 0.5
    (expected,) = masks_of(path, [values], 60, [alive])
    laid = values.contiguous(memory_format=torch.channels_last)
    for reach in (alive, alive.contiguous(memory_format=torch.channels_last)):
        (mask,) = masks_of(path, [laid], 60, [reach])
        assert torch.equal(mask, expected)
    assert int(expected.sum()) == 60


def test_values_outside_every_source_rank_below_all() -> None:
    ranks = torch.tensor([1.0, -torch.inf, 0.0, -torch.inf])
    assert select([ranks], 3)[0].tolist() == [True, True, True, False]


def gradient(
    scores: list[float], absolute: bool, alive: list[bool] | None, dtype: torch.dtype = torch.float32
) -> tuple[list[float], list[float]]:
    """Output and gradient of the scores for weights -1 … -n, upstream gradient 10, the first kept."""
    s = torch.tensor(scores, requires_grad=True)
    weight = -torch.arange(1.0, len(scores) + 1)
    reach = None if alive is None else torch.tensor(alive)
    out = masked_weight(s, weight, Limit(max(scores), 0, False), reach, absolute, dtype)
    assert out.dtype == dtype
    (out * 10).sum().backward()  # type: ignore[no-untyped-call]
    assert s.grad is not None
    assert s.grad.dtype == torch.float32
    return out.tolist(), s.grad.tolist()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_gradient_goes_through_to_kept_and_pruned_scores(dtype: torch.dtype) -> None:
    out, grad = gradient([3.0, 2.0, -1.0], absolute=False, alive=None, dtype=dtype)
    assert out == [-1.0, 0.0, 0.0]
    assert grad == [-10.0, -20.0, -30.0]


def test_the_gradient_is_multiplied_in_float32() -> None:
    s, weight = torch.tensor([1.0], requires_grad=True), torch.tensor([1.0 + 2.0**-20])
    masked_weight(s, weight, Limit(0.0, 0, False), None, False, torch.bfloat16).backward()  # type: ignore[no-untyped-call]
    assert s.grad is not None
    assert s.grad.item() == 1.0 + 2.0**-20


def test_absolute_scores_multiply_by_their_sign() -> None:
    assert gradient([3.0, 2.0, -1.0], absolute=True, alive=None)[1] == [-10.0, -20.0, 30.0]


def test_no_gradient_outside_the_source() -> None:
    assert gradient([3.0, 2.0, -1.0], absolute=False, alive=[True, False, True])[1] == [-10.0, 0.0, -30.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_pruned_weights_are_positive_zero_and_kept_ones_untouched(
    dtype: torch.dtype, layout: torch.memory_format
) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(2, 3, 4, 4, generator=generator).contiguous(memory_format=layout)
    weight[0, 0, 0, 0] = torch.nan
    mask = torch.rand(weight.shape, generator=generator) > 0.5
    mask[0, 0, 0, 0] = False
    before = weight.clone()
    out = keep_only(weight, mask, dtype)
    assert out.dtype == dtype
    assert torch.equal(out, torch.where(mask, weight, 0.0).to(dtype))
    assert not torch.signbit(out[~mask]).any()  # a product would give -0.0
    torch.testing.assert_close(weight, before, rtol=0, atol=0, equal_nan=True)


def test_numbers_of_every_kind_select_as_top_k_does() -> None:
    values = np.array([0.0, -0.0, 1e-45, 3.4e38, -3.4e38, 1.0, 1.0], dtype=np.float32)
    for keep in range(len(values) + 1):
        (mask,) = select([torch.from_numpy(values)], keep)
        assert np.array_equal(mask.numpy(), top_k(values, keep))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("dense", [True, False])
def test_large_tensors_are_masked_in_parts(
    dtype: torch.dtype, dense: bool, layout: torch.memory_format
) -> None:
    generator = torch.Generator().manual_seed(0)
    scores, weight = torch.randn(2, 70, 100, 10, 10, generator=generator)
    scores = scores.contiguous(memory_format=layout)
    alive = None if dense else torch.rand(70, 100, 10, 10, generator=generator) > 0.5
    limit = Limit(0.25, 0, False)
    expected = torch.where(kept(scores, limit, alive), weight, 0.0).to(dtype)
    assert torch.equal(masked_weight(scores, weight, limit, alive, False, dtype), expected)


@pytest.mark.parametrize("alive", [None, torch.tensor([True, False])])
def test_gradients_have_gradients(alive: torch.Tensor | None) -> None:
    """Half the square of the only weight used, twice: its second derivative by the score is its square."""
    s, weight = torch.tensor([1.0, 1.0], requires_grad=True), torch.tensor([3.0, 2.0])
    out = masked_weight(s, weight, Limit(0.0, 1, False), alive, False, torch.float32)
    (first,) = torch.autograd.grad(0.5 * out[0].square(), s, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), s)
    assert second.tolist() == [9.0, 0.0]
