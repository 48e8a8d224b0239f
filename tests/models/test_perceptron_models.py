from __future__ import annotations

from typing import Any

import pytest
import torch
from model_helpers import parameters, skeleton, weight_shapes, weights

from tombola.errors import ArgumentError
from tombola.models import lenet_300_100, mlp
from tombola.models.common import scaled


def test_scaled_rounds_and_stays_above_zero() -> None:
    assert [scaled(64, 1.0), scaled(64, 2), scaled(64, 0.25), scaled(300, 0.1)] == [64, 128, 16, 30]
    assert [scaled(3, 0.6), scaled(3, 0.4)] == [2, 1]
    # Python's round: halves go to the even neighbour.
    assert [scaled(5, 0.5), scaled(7, 0.5)] == [2, 4]
    assert [scaled(64, 0.001), scaled(1, 0.5)] == [1, 1]


def test_lenet_on_grey_digits() -> None:
    model = skeleton(lenet_300_100, in_channels=1, image_size=28)
    assert weight_shapes(model) == {
        "fc1.weight": (300, 784),
        "fc2.weight": (100, 300),
        "fc3.weight": (10, 100),
    }
    assert weights(model) == 784 * 300 + 300 * 100 + 100 * 10 == 266_200
    assert parameters(model) == 266_200 + 300 + 100 + 10


def test_lenet_width_multiplies_both_hidden_layers() -> None:
    model = skeleton(lenet_300_100, width=0.1, in_channels=1, image_size=28, classes=3)
    assert list(weight_shapes(model).values()) == [(30, 784), (10, 30), (3, 10)]


def test_mlp_default_and_its_hidden_layers() -> None:
    assert weight_shapes(skeleton(mlp, in_channels=1, image_size=8)) == {
        "fc1.weight": (256, 64),
        "fc2.weight": (256, 256),
        "fc3.weight": (10, 256),
    }
    deeper = skeleton(mlp, 0.5, 1, 2, 8, hidden=[6, 5, 4])
    assert list(weight_shapes(deeper).values()) == [(3, 64), (2, 3), (2, 2), (2, 2)]


def test_mlp_without_hidden_layers_is_linear() -> None:
    model = mlp(in_channels=1, image_size=4, hidden=())
    assert weight_shapes(model) == {"fc1.weight": (10, 16)}
    x = torch.arange(32.0).reshape(2, 1, 4, 4)
    bias = model(torch.zeros(1, 1, 4, 4))
    assert torch.allclose(model(3 * x) - bias, 3 * (model(x) - bias), atol=1e-4)


def test_mlp_computes_relu_layers_on_the_flattened_image() -> None:
    model = mlp(in_channels=2, classes=3, image_size=3, hidden=(5, 4))
    x = torch.linspace(-2, 2, 36).reshape(2, 2, 3, 3)
    p = model.state_dict()
    h = x.reshape(2, 18)
    for layer in ("fc1", "fc2"):
        h = (h @ p[f"{layer}.weight"].T + p[f"{layer}.bias"]).clamp(min=0)
    assert (h == 0).any()
    assert torch.allclose(model(x), h @ p["fc3.weight"].T + p["fc3.bias"], atol=1e-6)


@pytest.mark.parametrize("hidden", [(0,), (256, -1), (2.5,), (True,), "ab"])
def test_mlp_rejects_hidden_widths(hidden: Any) -> None:
    with pytest.raises(ArgumentError, match="mlp: every hidden width must be a whole number of at least 1"):
        mlp(hidden=hidden)


def test_mlp_rejects_a_lone_number() -> None:
    with pytest.raises(ArgumentError, match="mlp: hidden must be a sequence of widths, got 256"):
        mlp(hidden=256)  # type: ignore[arg-type]
