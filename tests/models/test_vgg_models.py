from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from model_helpers import meta_images, parameters, sizes_after, skeleton, weight_shapes, weights
from torch import nn

from tombola.models import vgg16, vgg19

VGG16 = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
VGG19 = [64, 64, 128, 128, *[256] * 4, *[512] * 8]


@pytest.mark.parametrize(
    ("builder", "channels", "convolutions"),
    [(vgg16, VGG16, 14_710_464), (vgg19, VGG19, 20_018_880)],
)
def test_shapes_and_counts(builder: Callable[..., nn.Module], channels: list[int], convolutions: int) -> None:
    model = skeleton(builder)
    inputs = [3, *channels[:-1]]
    want: dict[str, tuple[int, ...]] = {
        f"conv{i}.weight": (c, n, 3, 3)
        for i, (c, n) in enumerate(zip(channels, inputs, strict=True), start=1)
    }
    assert weight_shapes(model) == want | {"fc.weight": (10, 512)}
    assert weights(model) == convolutions + 5_120
    assert parameters(model) == convolutions + 5_120 + 10 + 2 * sum(channels)


def test_four_poolings_and_an_average() -> None:
    model = skeleton(vgg19)
    names = ["pool1", "pool2", "pool3", "pool4", "conv16"]
    assert sizes_after(model, meta_images(2, 3, 32), names) == [16, 8, 4, 2, 2]
    assert sizes_after(model, meta_images(2, 3, 64), names) == [32, 16, 8, 4, 4]
    poolings = [name for name, m in model.named_modules() if isinstance(m, nn.MaxPool2d)]
    assert poolings == ["pool1", "pool2", "pool3", "pool4"]


def test_order_within_the_first_and_last_group() -> None:
    order = [name for name, _ in vgg16(width=0.02).named_children()]
    assert order[:7] == ["conv1", "bn1", "relu1", "conv2", "bn2", "pool1", "relu2"]
    assert order[-5:] == ["conv13", "bn13", "relu13", "average", "fc"]


def test_vgg16_computes_what_its_definition_says() -> None:
    model = vgg16(width=0.05, in_channels=1, classes=3, image_size=32).eval()
    p = model.state_dict()
    x = h = torch.linspace(-2, 2, 2 * 32 * 32).reshape(2, 1, 32, 32).sin()
    for number in range(1, 14):
        # Running mean 0 and variance 1: normalisation divides by √(1 + 1e-5).
        h = F.conv2d(h, p[f"conv{number}.weight"], padding=1) / math.sqrt(1 + 1e-5)
        h = h.clamp(min=0)
        if number in {2, 4, 7, 10}:
            h = F.max_pool2d(h, 2)
    assert h.shape[2:] == (2, 2)
    features = (h[..., 0, 0] + h[..., 0, 1] + h[..., 1, 0] + h[..., 1, 1]) / 4
    # Thirteen layers at torch's own initialisation leave little signal: compare without the bias.
    want = features @ p["fc.weight"].T
    assert want.abs().max() > 0
    assert torch.allclose(model(x) - p["fc.bias"], want, rtol=1e-2, atol=1e-7)


def test_weights_do_not_depend_on_the_image_size() -> None:
    assert weight_shapes(skeleton(vgg16, image_size=224)) == weight_shapes(skeleton(vgg16, image_size=16))
