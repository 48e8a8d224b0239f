"""Fully connected networks: `mlp` and LeNet-300-100."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from torch import nn

from tombola.errors import ArgumentError
from tombola.models.common import check_arguments, check_count, scaled

NamedLayer = tuple[str, nn.Module]


def dense_layers(features: int, hidden: Iterable[int], classes: int) -> list[NamedLayer]:
    """Linear layers `fc1`, `fc2`, … from `features` inputs over `hidden` widths to `classes` logits.

    A ReLU follows every layer but the last.
    """
    layers: list[NamedLayer] = []
    inputs, number = features, 1
    for outputs in hidden:
        layers += [(f"fc{number}", nn.Linear(inputs, outputs)), (f"relu_fc{number}", nn.ReLU())]
        inputs, number = outputs, number + 1
    return [*layers, (f"fc{number}", nn.Linear(inputs, classes))]


def mlp(
    width: float = 1.0,
    in_channels: int = 3,
    classes: int = 10,
    image_size: int = 32,
    *,
    hidden: Iterable[int] = (256, 256),
) -> nn.Module:
    """A multilayer perceptron with ReLU on the flattened image.

    Maps floats (N, in_channels, image_size, image_size), or anything that flattens to as many
    features, to logits (N, classes). `hidden` are the widths of the hidden layers before they are
    multiplied by `width`; none at all gives a linear classifier. Layers: `fc1`, `fc2`, …, each with a
    bias. Raises ArgumentError for an argument out of range.

    >>> mlp(width=0.5, in_channels=1, image_size=8).fc1
    Linear(in_features=64, out_features=128, bias=True)
    """
    if not isinstance(hidden, Iterable):
        raise ArgumentError(f"mlp: hidden must be a sequence of widths, got {hidden!r}")
    return _perceptron("mlp", width, in_channels, classes, image_size, tuple(hidden))


def lenet_300_100(
    width: float = 1.0, in_channels: int = 3, classes: int = 10, image_size: int = 32
) -> nn.Module:
    """LeNet-300-100: a perceptron with hidden layers of 300 and 100 units, times `width`.

    Maps floats (N, in_channels, image_size, image_size) to logits (N, classes); 266,200 weights on
    28×28 grey digits. ReLU instead of the original's squashing function, as in the pruning literature.
    Raises ArgumentError for an argument out of range.

    Source: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition",
    1998; as used by Frankle and Carbin, "The lottery ticket hypothesis", ICLR 2019, figure 2.
    """
    return _perceptron("lenet-300-100", width, in_channels, classes, image_size, (300, 100))


def _perceptron(
    model: str, width: float, in_channels: int, classes: int, image_size: int, hidden: tuple[int, ...]
) -> nn.Module:
    check_arguments(model, width, in_channels, classes, image_size)
    for units in hidden:
        check_count(model, "every hidden width", units)
    widths = [scaled(units, width) for units in hidden]
    features = in_channels * image_size**2
    flatten: list[NamedLayer] = [("flatten", nn.Flatten())]
    return nn.Sequential(OrderedDict(flatten + dense_layers(features, widths, classes)))
