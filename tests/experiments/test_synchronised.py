"""Batch normalisation over two processes against torch's own over the whole batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from rank_helpers import Pair, in_group
from torch import nn

from tombola.experiments.ranks import Ranks
from tombola.experiments.synchronised import SynchronisedBatchNorm, synchronise_batch_norm

# Of the last, the first process has nothing.
SHAPES = [(7, 3), (7, 3, 5), (7, 3, 4, 5), (5, 3, 2, 2, 2), (1, 3, 4, 5)]


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()


def layer_for(shape: tuple[int, ...], options: dict[str, Any]) -> nn.Module:
    kind = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}[len(shape)]
    layer = kind(3, **options)
    if layer.affine:
        with torch.no_grad():
            layer.weight.copy_(torch.tensor([0.5, 2.0, -1.0]))
            layer.bias.copy_(torch.tensor([1.0, 0.0, 3.0]))
    return nn.Sequential(layer)


def normalised(
    ranks: Ranks, shape: tuple[int, ...], options: dict[str, Any], dtype: torch.dtype, synchronise: bool
) -> dict[str, torch.Tensor]:
    """Outputs, gradients and statistics after two steps on this process's share, of a far-off mean."""
    torch.manual_seed(0)
    x = (torch.randn(2, *shape) + 100).to(dtype)
    upstream = torch.randn(2, *shape).to(dtype)
    model = layer_for(shape, options).to(dtype)
    if synchronise:
        synchronise_batch_norm(model)
        assert type(model[0]) is SynchronisedBatchNorm  # type: ignore[index]
    here = ranks.share.of(0, shape[0])
    result: dict[str, torch.Tensor] = {}
    for step in range(2):
        part = x[step, here].clone().requires_grad_()
        y = model(part)
        (y * upstream[step, here]).sum().backward()
        result |= {f"y{step}": y.detach(), f"x{step}": part.grad}  # type: ignore[dict-item]
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        result[name] = ranks.total(parameter.grad)
    result |= {name: buffer.clone().to(dtype) for name, buffer in model.named_buffers()}
    if options.get("track_running_stats", True):  # else statistics of the batch, of whatever share
        model.eval()
        result["eval"] = model(x[0, here]).detach()
    return result


# In float32 the mean of values near 100 is known to 4e-6, its square and the like to no better: what is
# divided by a deviation of 0.5 and multiplied by a weight of 2 is then known to some 5e-5.
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "options", [{}, {"momentum": None}, {"affine": False}, {"track_running_stats": False}]
)
def test_it_is_that_of_the_whole_batch(
    pair: Pair, shape: tuple[int, ...], options: dict[str, Any], dtype: torch.dtype, tolerance: float
) -> None:
    whole = normalised(Ranks(), shape, options, torch.float64, False)
    parts = pair(in_group, normalised, shape, options, dtype, True)
    for name, expected in whole.items():
        shared = name in ("y0", "y1", "x0", "x1", "eval")
        found = torch.cat([part[name] for part in parts]) if shared else parts[0][name]
        torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance)


def half(ranks: Ranks, synchronise: bool) -> torch.Tensor:
    """The gradient in a bfloat16 input, of an upstream gradient whose mean is ten times its deviation."""
    torch.manual_seed(0)
    x, upstream = torch.randn(8, 3, 4, 5).bfloat16(), (torch.randn(8, 3, 4, 5) + 10).bfloat16()
    model = layer_for((8, 3, 4, 5), {})
    if synchronise:
        synchronise_batch_norm(model)
    here = ranks.share.of(0, 8)
    part = x[here].clone().requires_grad_()
    (model(part) * upstream[here]).sum().backward()
    assert part.grad is not None
    assert part.grad.dtype == torch.bfloat16
    return part.grad.double()


def test_half_precision_loses_no_more_than_torch_does(pair: Pair) -> None:
    torch.manual_seed(0)
    x, upstream = torch.randn(8, 3, 4, 5).bfloat16(), (torch.randn(8, 3, 4, 5) + 10).bfloat16()
    exact = x.double().requires_grad_()
    (layer_for((8, 3, 4, 5), {}).double()(exact) * upstream.double()).sum().backward()
    assert exact.grad is not None
    torchs = (half(Ranks(), False) - exact.grad).square().mean().sqrt()
    ours = (torch.cat(pair(in_group, half, True)) - exact.grad).square().mean().sqrt()
    # Our sum of two is rounded twice, and what is small in the one is added once more.
    assert ours < 2.5 * torchs


def second(ranks: Ranks, frozen: bool, synchronise: bool) -> torch.Tensor:
    """The gradient, in the input, of the squared gradient of a loss."""
    torch.manual_seed(0)
    x = torch.randn(7, 3, 4, 5).double()
    model = layer_for((7, 3, 4, 5), {}).double().requires_grad_(not frozen)
    if synchronise:
        synchronise_batch_norm(model)
    part = x[ranks.share.of(0, 7)].clone().requires_grad_()
    (first,) = torch.autograd.grad(model(part).pow(3).sum(), part, create_graph=True)
    (found,) = torch.autograd.grad(first.square().sum(), part)
    return found


@pytest.mark.parametrize("frozen", [False, True])
def test_its_gradient_has_a_gradient(pair: Pair, frozen: bool) -> None:
    parts = pair(in_group, second, frozen, True)
    torch.testing.assert_close(torch.cat(parts), second(Ranks(), frozen, False))


def in_bfloat16(ranks: Ranks) -> torch.dtype:
    model = layer_for((4, 3, 2, 2), {})
    synchronise_batch_norm(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        dtype: torch.dtype = model(torch.randn(2, 3, 2, 2).bfloat16()).dtype
    return dtype


def test_the_output_is_of_the_inputs_type(pair: Pair) -> None:
    assert pair(in_group, in_bfloat16) == [torch.bfloat16, torch.bfloat16]


def of_a_model_in_bfloat16(ranks: Ranks) -> tuple[torch.Tensor, torch.dtype]:
    torch.manual_seed(0)
    x = torch.randn(6, 3, 4, 4).bfloat16()
    model = layer_for((6, 3, 4, 4), {}).bfloat16()
    synchronise_batch_norm(model)
    y = model(x[ranks.share.of(0, 6)])
    y.sum().backward()
    (gradient, _) = (parameter.grad for parameter in model.parameters())
    assert gradient is not None
    return y.detach(), gradient.dtype


def test_a_model_whose_own_parameters_are_in_bfloat16(pair: Pair) -> None:
    torch.manual_seed(0)
    expected = layer_for((6, 3, 4, 4), {})(torch.randn(6, 3, 4, 4).bfloat16().float()).bfloat16()
    parts = pair(in_group, of_a_model_in_bfloat16)
    torch.testing.assert_close(torch.cat([y for y, _ in parts]), expected)
    assert [dtype for _, dtype in parts] == [torch.bfloat16] * 2


def test_a_subclass_of_ones_own_is_left_alone() -> None:
    class Own(nn.BatchNorm2d):
        pass

    model = nn.Sequential(Own(3), nn.LayerNorm(3))
    synchronise_batch_norm(model)
    assert [type(module) for module in model] == [Own, nn.LayerNorm]


def test_an_input_without_channels_is_refused() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3))
    synchronise_batch_norm(model)
    with pytest.raises(ValueError, match="at least 2 dimensions, got 1"):
        model(torch.zeros(3))
