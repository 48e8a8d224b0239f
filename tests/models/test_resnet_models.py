from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from model_helpers import meta_images, parameters, sizes_after, skeleton, weight_shapes, weights
from torch import nn

from tombola.models import resnet18, resnet34, resnet50, resnet101
from tombola.models.resnet import BasicBlock, Bottleneck

STAGES = ["layer1", "layer2", "layer3", "layer4"]
DEPTHS = {
    resnet18: (2, 2, 2, 2),
    resnet34: (3, 4, 6, 3),
    resnet50: (3, 4, 6, 3),
    resnet101: (3, 4, 23, 3),
}


def basic_weights(depths: tuple[int, ...]) -> int:
    """Weights of the stages of a basic ResNet: two 3×3 a block, 1×1 where the channels double."""
    total = 0
    for stage, depth in enumerate(depths):
        c = 64 << stage
        total += depth * 2 * 9 * c * c
        if stage:
            # The first convolution of the stage reads half as many channels; the projection joins it.
            total += -9 * c * c // 2 + c * c // 2
    return total


def bottleneck_weights(depths: tuple[int, ...]) -> int:
    """Weights of the stages of a bottleneck ResNet: 1×1, 3×3, 1×1 a block, a projection a stage."""
    total, inputs = 0, 64
    for stage, depth in enumerate(depths):
        c = 64 << stage
        for position in range(depth):
            total += inputs * c + 9 * c * c + c * 4 * c
            if position == 0:
                total += inputs * 4 * c
            inputs = 4 * c
    return total


@pytest.mark.parametrize(
    ("builder", "small", "large"),
    [
        (resnet18, 11_173_962, 11_689_512),
        (resnet34, 21_282_122, 21_797_672),
        (resnet50, 23_520_842, 25_557_032),
        (resnet101, 42_512_970, 44_549_160),
    ],
)
def test_parameters(builder: Callable[..., nn.Module], small: int, large: int) -> None:
    """Both published figures: CIFAR-10 with the 3×3 stem, ImageNet with the 7×7 stem."""
    assert parameters(skeleton(builder)) == small
    assert parameters(skeleton(builder, classes=1000, image_size=224)) == large


@pytest.mark.parametrize("builder", DEPTHS)
def test_weights_from_the_definition(builder: Callable[..., nn.Module]) -> None:
    if builder in (resnet18, resnet34):
        stages, features = basic_weights(DEPTHS[builder]), 512
    else:
        stages, features = bottleneck_weights(DEPTHS[builder]), 2048
    assert weights(skeleton(builder)) == 3 * 64 * 9 + stages + features * 10
    assert weights(skeleton(builder, image_size=224)) == 3 * 64 * 49 + stages + features * 10


def test_resnet18_shapes() -> None:
    shapes = weight_shapes(skeleton(resnet18))
    assert list(shapes.items())[:6] == [
        ("conv1.weight", (64, 3, 3, 3)),
        ("layer1.0.conv1.weight", (64, 64, 3, 3)),
        ("layer1.0.conv2.weight", (64, 64, 3, 3)),
        ("layer1.1.conv1.weight", (64, 64, 3, 3)),
        ("layer1.1.conv2.weight", (64, 64, 3, 3)),
        ("layer2.0.conv1.weight", (128, 64, 3, 3)),
    ]
    assert shapes["fc.weight"] == (10, 512)
    # 17 convolutions and the classifier are the 18; three projections come on top.
    assert len(shapes) == 18 + 3


@pytest.mark.parametrize(("builder", "depth"), [(resnet34, 34), (resnet50, 50), (resnet101, 101)])
def test_depth_is_in_the_name(builder: Callable[..., nn.Module], depth: int) -> None:
    names = list(weight_shapes(skeleton(builder)))
    assert len([name for name in names if "shortcut" not in name]) == depth


def test_projections_only_where_the_shape_changes() -> None:
    def projections(builder: Callable[..., nn.Module]) -> dict[str, tuple[int, ...]]:
        return {n: s for n, s in weight_shapes(skeleton(builder)).items() if "shortcut" in n}

    assert projections(resnet34) == {
        "layer2.0.shortcut.conv.weight": (128, 64, 1, 1),
        "layer3.0.shortcut.conv.weight": (256, 128, 1, 1),
        "layer4.0.shortcut.conv.weight": (512, 256, 1, 1),
    }
    assert projections(resnet50) == {
        "layer1.0.shortcut.conv.weight": (256, 64, 1, 1),
        "layer2.0.shortcut.conv.weight": (512, 256, 1, 1),
        "layer3.0.shortcut.conv.weight": (1024, 512, 1, 1),
        "layer4.0.shortcut.conv.weight": (2048, 1024, 1, 1),
    }


@pytest.mark.parametrize("builder", [resnet18, resnet50])
def test_stem_and_strides(builder: Callable[..., nn.Module]) -> None:
    small, large = skeleton(builder, image_size=64), skeleton(builder, image_size=65)
    assert weight_shapes(small)["conv1.weight"] == (64, 3, 3, 3)
    assert weight_shapes(large)["conv1.weight"] == (64, 3, 7, 7)
    assert sizes_after(small, meta_images(2, 3, 64), ["conv1", *STAGES]) == [64, 64, 32, 16, 8]
    assert sizes_after(small, meta_images(2, 3, 9), ["conv1", *STAGES]) == [9, 9, 5, 3, 2]
    assert sizes_after(small, meta_images(2, 3, 8), ["conv1", *STAGES]) == [8, 8, 4, 2, 1]
    names = ["conv1", "pool", *STAGES]
    assert sizes_after(large, meta_images(2, 3, 224), names) == [112, 56, 56, 28, 14, 7]
    # 7×7 and 3×3 with "same" padding round up: 65 -> 33 -> 17.
    assert sizes_after(large, meta_images(2, 3, 65), names) == [33, 17, 17, 9, 5, 3]
    assert [name for name, _ in small.named_children()] == ["conv1", "bn1", "relu", *STAGES, "average", "fc"]
    assert [name for name, _ in large.named_children()][2:5] == ["pool", "relu", "layer1"]


def test_bottleneck_strides_in_the_three_by_three() -> None:
    block = resnet50(width=0.02).get_submodule("layer2.0")
    images = torch.zeros(2, next(block.parameters()).shape[1], 8, 8)
    assert sizes_after(block, images, ["conv1", "conv2", "conv3", "shortcut"]) == [8, 4, 4, 4]


def test_width_scales_the_expanded_channels_too() -> None:
    shapes = weight_shapes(skeleton(resnet50, width=0.1, in_channels=1, classes=5))
    assert shapes["conv1.weight"] == (6, 1, 3, 3)
    # 256 · 0.1 rounds to 26, where four times the rounded 6 would be 24.
    assert shapes["layer1.0.conv3.weight"] == (26, 6, 1, 1)
    assert shapes["fc.weight"] == (5, 205)


@pytest.mark.parametrize("block", [BasicBlock(4, 4, 1.0, 1), Bottleneck(16, 4, 1.0, 1)])
def test_a_silent_branch_leaves_the_shortcut(block: nn.Module) -> None:
    last = "bn2" if isinstance(block, BasicBlock) else "bn3"
    inputs = block.get_parameter("conv1.weight").shape[1]
    x = torch.linspace(-1, 1, 2 * inputs * 9).reshape(2, inputs, 3, 3)
    assert not torch.equal(block(x), x.clamp(min=0))
    with torch.no_grad():
        block.get_parameter(f"{last}.weight").zero_()
    assert torch.equal(block(x), x.clamp(min=0))


def normalised_conv(block: nn.Module, h: torch.Tensor, name: str, stride: int = 1) -> torch.Tensor:
    """Convolution and fresh batch normalisation: mean 0, variance 1, so it divides by √(1 + 1e-5)."""
    weight = block.get_parameter(f"{name}.weight")
    y: torch.Tensor = F.conv2d(h, weight, stride=stride, padding=weight.shape[-1] // 2)
    return y / math.sqrt(1 + 1e-5)


def test_basic_block_computes_what_its_definition_says() -> None:
    block = BasicBlock(3, 5, 1.0, 2).eval()
    x = torch.linspace(-2, 2, 2 * 3 * 36).reshape(2, 3, 6, 6).sin()
    h = normalised_conv(block, x, "conv1", stride=2).clamp(min=0)
    h = normalised_conv(block, h, "conv2") + normalised_conv(block, x, "shortcut.conv", stride=2)
    assert torch.allclose(block(x), h.clamp(min=0), atol=1e-6)


def test_bottleneck_computes_what_its_definition_says() -> None:
    block = Bottleneck(3, 5, 1.0, 2).eval()
    x = torch.linspace(-2, 2, 2 * 3 * 36).reshape(2, 3, 6, 6).sin()
    h = normalised_conv(block, x, "conv1").clamp(min=0)
    h = normalised_conv(block, h, "conv2", stride=2).clamp(min=0)
    h = normalised_conv(block, h, "conv3") + normalised_conv(block, x, "shortcut.conv", stride=2)
    assert h.shape == (2, 20, 3, 3)
    assert torch.allclose(block(x), h.clamp(min=0), atol=1e-6)
