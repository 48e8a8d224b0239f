from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from model_helpers import meta_images, parameters, sizes_after, skeleton, weight_shapes, weights
from torch import nn

from tombola.models import conv2, conv4, conv6, conv8

# Weights of the convolutions alone, added up by hand: 9 · (3·64 + 64² + 64·128 + 128² + …).
CONVOLUTIONS = {conv2: 38_592, conv4: 259_776, conv6: 1_144_512, conv8: 4_683_456}


def test_conv6_shapes() -> None:
    assert weight_shapes(skeleton(conv6)) == {
        "conv1.weight": (64, 3, 3, 3),
        "conv2.weight": (64, 64, 3, 3),
        "conv3.weight": (128, 64, 3, 3),
        "conv4.weight": (128, 128, 3, 3),
        "conv5.weight": (256, 128, 3, 3),
        "conv6.weight": (256, 256, 3, 3),
        "fc1.weight": (256, 256 * 4 * 4),
        "fc2.weight": (256, 256),
        "fc3.weight": (10, 256),
    }


def test_conv6_count() -> None:
    model = skeleton(conv6)
    assert weights(model) == 2_261_184
    assert parameters(model) == 2_261_184 + 2 * (64 + 128 + 256) + 256 + 256 + 10


@pytest.mark.parametrize(
    ("builder", "flat"),
    [(conv2, 64 * 16 * 16), (conv4, 128 * 8 * 8), (conv6, 256 * 4 * 4), (conv8, 512 * 2 * 2)],
)
def test_counts_at_width_one(builder: Callable[..., nn.Module], flat: int) -> None:
    dense = flat * 256 + 256 * 256 + 256 * 10
    assert weights(skeleton(builder)) == CONVOLUTIONS[builder] + dense


def test_width_multiplies_channels_and_hidden_layers_but_not_input_or_classes() -> None:
    model = skeleton(conv4, width=0.25, in_channels=1, classes=7, image_size=28)
    assert list(weight_shapes(model).values()) == [
        (16, 1, 3, 3),
        (16, 16, 3, 3),
        (32, 16, 3, 3),
        (32, 32, 3, 3),
        (64, 32 * 7 * 7),
        (64, 64),
        (7, 64),
    ]


@pytest.mark.parametrize(
    ("builder", "image_size", "sides"),
    [
        (conv2, 28, [14]),
        (conv4, 28, [14, 7]),
        (conv6, 28, [14, 7, 3]),
        (conv8, 31, [15, 7, 3, 1]),
        (conv6, 8, [4, 2, 1]),
    ],
)
def test_poolings_round_down(builder: Callable[..., nn.Module], image_size: int, sides: list[int]) -> None:
    model = skeleton(builder, in_channels=1, image_size=image_size)
    images = meta_images(2, 1, image_size)
    assert sizes_after(model, images, [f"pool{i + 1}" for i in range(len(sides))]) == sides
    assert model(images).shape == (2, 10)


def test_conv6_runs_on_grey_digits_of_eight_pixels() -> None:
    model = conv6(in_channels=1, image_size=8, width=0.25)
    assert weight_shapes(model)["fc1.weight"] == (64, 64)
    assert model(torch.ones(5, 1, 8, 8)).shape == (5, 10)


def test_conv4_computes_what_its_definition_says() -> None:
    model = conv4(width=0.1, in_channels=2, classes=3, image_size=9)
    p = model.state_dict()
    x = h = torch.linspace(-3, 3, 2 * 2 * 81).reshape(2, 2, 9, 9).sin()
    for pair in ((1, 2), (3, 4)):
        for i in pair:
            h = F.conv2d(h, p[f"conv{i}.weight"], p[f"conv{i}.bias"], padding=1).clamp(min=0)
        h = F.max_pool2d(h, 2)
    h = h.flatten(1)
    for layer in ("fc1", "fc2"):
        h = (h @ p[f"{layer}.weight"].T + p[f"{layer}.bias"]).clamp(min=0)
    assert torch.allclose(model(x), h @ p["fc3.weight"].T + p["fc3.bias"], atol=1e-6)
