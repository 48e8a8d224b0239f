"""What holds for every model of the registry."""

from __future__ import annotations

import copy
import inspect
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from model_helpers import meta_images, skeleton, weight_shapes
from torch import nn

from tombola.errors import ArgumentError
from tombola.models import MODELS

every_model = pytest.mark.parametrize("name", MODELS)
# Deep at width 1 takes long to initialise and teaches nothing more.
NARROW = 0.05


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Operations this small only wait for each other on several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@every_model
def test_signature(name: str) -> None:
    parameters = list(inspect.signature(MODELS[name]).parameters.values())
    defaults = {p.name: p.default for p in parameters[:4]}
    assert defaults == {"width": 1.0, "in_channels": 3, "classes": 10, "image_size": 32}
    assert list(defaults) == ["width", "in_channels", "classes", "image_size"]
    assert [p.name for p in parameters[4:]] == (["hidden"] if name == "mlp" else [])


@every_model
@pytest.mark.parametrize(
    ("width", "in_channels", "classes", "image_size"),
    [(0.1, 3, 10, 32), (NARROW, 1, 7, 28), (0.001, 2, 1, 65)],
)
def test_output_shape(name: str, width: float, in_channels: int, classes: int, image_size: int) -> None:
    model = MODELS[name](width, in_channels, classes, image_size)
    assert model(torch.ones(3, in_channels, image_size, image_size)).shape == (3, classes)


@every_model
def test_logits_are_finite_and_every_parameter_has_a_gradient(name: str) -> None:
    model = MODELS[name](width=NARROW, in_channels=1, classes=4, image_size=17)
    logits = model(torch.linspace(-1, 1, 4 * 17 * 17).reshape(4, 1, 17, 17).sin())
    assert logits.shape == (4, 4)
    assert torch.isfinite(logits).all()
    (logits * torch.arange(1.0, 5.0)).sum().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


@every_model
def test_forward_draws_no_random_numbers(name: str) -> None:
    model = MODELS[name](width=NARROW, image_size=16).train()
    images = torch.linspace(0, 1, 2 * 3 * 16 * 16).reshape(2, 3, 16, 16)
    before = torch.random.get_rng_state()
    first = model(images)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(model(images), first)


@every_model
def test_deepcopy_and_state_dict(name: str) -> None:
    model = MODELS[name](width=NARROW, image_size=16).eval()
    other = MODELS[name](width=NARROW, image_size=16).eval()
    images = torch.linspace(0, 1, 2 * 3 * 16 * 16).reshape(2, 3, 16, 16)
    assert not torch.equal(other(images), model(images))
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(images), model(images))
    assert torch.equal(copy.deepcopy(model)(images), model(images))


@pytest.mark.parametrize("name", [n for n in MODELS if n.startswith(("conv", "vgg", "resnet"))])
def test_pooling_before_the_relu_gives_the_numbers_of_pooling_after_it(name: str) -> None:
    """Outputs and gradients, at images for which ResNets have a pooling."""
    model = MODELS[name](width=NARROW, image_size=65)
    layers = list(copy.deepcopy(model).named_children())
    poolings = [place for place, (_, layer) in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]
    for place in poolings:
        assert isinstance(layers[place + 1][1], nn.ReLU)
        layers[place], layers[place + 1] = layers[place + 1], layers[place]
    usual = nn.Sequential(OrderedDict(layers))
    assert poolings
    images = torch.linspace(-9, 9, 2 * 3 * 65 * 65).reshape(2, 3, 65, 65).sin()
    outputs = [network(images) for network in (model, usual)]
    assert torch.equal(*outputs)
    gradients = [
        torch.autograd.grad(output.square().sum(), list(network.parameters()))
        for output, network in zip(outputs, (model, usual), strict=True)
    ]
    assert any(bool(gradient.any()) for gradient in gradients[0])
    assert all(map(torch.equal, *gradients))


@every_model
def test_biases_stand_where_no_normalisation_follows(name: str) -> None:
    model = skeleton(MODELS[name])
    normalised = any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    assert normalised == name.startswith(("vgg", "resnet"))
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            assert (layer.bias is None) == normalised
        if isinstance(layer, nn.Linear):
            assert layer.bias is not None


@every_model
def test_width_one_half_halves_every_hidden_size(name: str) -> None:
    full = weight_shapes(skeleton(MODELS[name], in_channels=3, classes=10))
    half = weight_shapes(skeleton(MODELS[name], width=0.5, in_channels=3, classes=10))
    assert list(full) == list(half)
    first, last = next(iter(full)), next(reversed(full))
    for tensor, (outputs, inputs, *kernel) in full.items():
        want_in = inputs if tensor == first else inputs // 2
        want_out = outputs if tensor == last else outputs // 2
        assert half[tensor] == (want_out, want_in, *kernel), tensor


@every_model
def test_rejects_width(name: str) -> None:
    unfit: list[Any] = [0, -0.5, 0.0, math.nan, math.inf, -math.inf, True, "1", None]
    for width in unfit:
        with pytest.raises(ArgumentError) as caught:
            MODELS[name](width=width)
        assert str(caught.value) == f"{name}: width must be a finite number above 0, got {width!r}"


@every_model
@pytest.mark.parametrize("what", ["in_channels", "classes", "image_size"])
def test_rejects_counts(name: str, what: str) -> None:
    unfit: list[Any] = [0, -3, 2.0, True, "3", None]
    for value in unfit:
        with pytest.raises(ArgumentError) as caught:
            MODELS[name](**{what: value})
        assert str(caught.value) == f"{name}: {what} must be a whole number of at least 1, got {value!r}"


@pytest.mark.parametrize(
    ("name", "least", "times"),
    [
        ("conv2", 2, "once"),
        ("conv4", 4, "2 times"),
        ("conv6", 8, "3 times"),
        ("conv8", 16, "4 times"),
        ("vgg16", 16, "4 times"),
        ("vgg19", 16, "4 times"),
        ("resnet18", 8, "3 times"),
        ("resnet34", 8, "3 times"),
        ("resnet50", 8, "3 times"),
        ("resnet101", 8, "3 times"),
    ],
)
def test_rejects_images_too_small_to_halve(name: str, least: int, times: str) -> None:
    builder: Callable[..., nn.Module] = MODELS[name]
    model = skeleton(builder, image_size=least, in_channels=1)
    assert model(meta_images(2, 1, least)).shape == (2, 10)
    for size in {least - 1, least // 2}:
        with pytest.raises(ArgumentError) as caught:
            builder(image_size=size)
        assert str(caught.value) == (
            f"{name} halves the image {times}: image_size must be at least {least}, got {size}"
        )
