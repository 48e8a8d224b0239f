"""Selection: exact masks on either path, straight-through gradients by hand."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from tombola.search.select import StraightThrough, _select_on_device, select


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=40), st.data())
def test_the_device_path_selects_as_numpy_does(values: list[int], data: st.DataObject) -> None:
    keep = data.draw(st.integers(0, len(values)))
    flat = torch.tensor(values, dtype=torch.float32)
    (expected,) = select([flat], keep)
    assert torch.equal(_select_on_device(flat, keep), expected)
    assert int(expected.sum()) == keep


def test_one_threshold_over_several_tensors() -> None:
    first, second = torch.tensor([[5.0, 1.0]]), torch.tensor([3.0, 5.0, 5.0])
    a, b = select([first, second], 2)
    assert a.tolist() == [[True, False]]
    assert b.tolist() == [False, True, False]  # the tie at 5 goes to the earlier entry


def gradient(
    scores: list[float], absolute: bool, alive: list[bool] | None
) -> tuple[list[float], list[float]]:
    """Output and gradient of the scores for weights 1 … n, upstream gradient 10, first entry kept."""
    s = torch.tensor(scores, requires_grad=True)
    weight = -torch.arange(1.0, len(scores) + 1)
    mask = torch.arange(len(scores)) == 0
    reach = None if alive is None else torch.tensor(alive)
    out = StraightThrough.apply(s, weight, mask, reach, absolute)  # type: ignore[no-untyped-call]
    (out * 10).sum().backward()
    assert s.grad is not None
    return out.tolist(), s.grad.tolist()


def test_gradient_goes_through_to_kept_and_pruned_scores() -> None:
    out, grad = gradient([3.0, 2.0, -1.0], absolute=False, alive=None)
    assert out == [-1.0, 0.0, 0.0]
    assert grad == [-10.0, -20.0, -30.0]


def test_pruned_weights_are_positive_zero() -> None:
    out, _ = gradient([3.0, 2.0], absolute=False, alive=None)
    assert str(out[1]) == "0.0"  # a product would give -0.0


def test_absolute_scores_multiply_by_their_sign() -> None:
    assert gradient([3.0, 2.0, -1.0], absolute=True, alive=None)[1] == [-10.0, -20.0, 30.0]


def test_no_gradient_outside_the_source() -> None:
    assert gradient([3.0, 2.0, -1.0], absolute=False, alive=[True, False, True])[1] == [-10.0, 0.0, -30.0]
