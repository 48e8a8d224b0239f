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

SHAPES = [(7, 3), (7, 3, 5), (7, 3, 4, 5), (5, 3, 2, 2, 2)]


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
    ranks: Ranks, shape: tuple[int, ...], options: dict[str, Any], synchronise: bool
) -> dict[str, torch.Tensor]:
    """Outputs, gradients and statistics after two steps on this process's share, of a far-off mean."""
    torch.manual_seed(0)
    x = torch.randn(2, *shape, dtype=torch.float64).float() + 100
    upstream = torch.randn(2, *shape)
    model = layer_for(shape, options)
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
    result |= {name: buffer.clone().float() for name, buffer in model.named_buffers()}
    model.eval()
    result["eval"] = model(x[0, here]).detach()
    return result


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "options", [{}, {"momentum": None}, {"affine": False}, {"track_running_stats": False}]
)
def test_it_is_that_of_the_whole_batch(pair: Pair, shape: tuple[int, ...], options: dict[str, Any]) -> None:
    if "track_running_stats" in options and len(shape) != 4:
        pytest.skip("one shape is enough")
    whole = normalised(Ranks(), shape, options, False)
    parts = pair(in_group, normalised, shape, options, True)
    for name, expected in whole.items():
        shared = name in ("y0", "y1", "x0", "x1") or name == "eval"
        if name == "eval" and "track_running_stats" in options:
            continue  # statistics of the batch, of whatever share
        found = torch.cat([part[name] for part in parts]) if shared else parts[0][name]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=2e-5)


def in_bfloat16(ranks: Ranks) -> torch.dtype:
    model = layer_for((4, 3, 2, 2), {})
    synchronise_batch_norm(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        dtype: torch.dtype = model(torch.randn(2, 3, 2, 2).bfloat16()).dtype
    return dtype


def test_the_output_is_of_the_inputs_type(pair: Pair) -> None:
    assert pair(in_group, in_bfloat16) == [torch.bfloat16, torch.bfloat16]


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
