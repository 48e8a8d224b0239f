"""VGG-16 and VGG-19 in the form used on CIFAR: batch normalisation, one linear classifier.

Source: Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR
2015, table 1, columns D and E, for the convolutions. As in the sparse-training literature the last of the
five poolings is an average over every position that is left, and one linear layer replaces the three dense
ones, so the number of weights does not depend on the image's size.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from tombola.models.common import GlobalAverage, check_arguments, scaled
from tombola.models.perceptron import NamedLayer

_CHANNELS = (64, 128, 256, 512, 512)
_VGG16 = (2, 2, 3, 3, 3)
_VGG19 = (2, 2, 4, 4, 4)


def vgg16(width: float = 1.0, in_channels: int = 3, classes: int = 10, image_size: int = 32) -> nn.Module:
    """VGG-16: 13 convolutions (2, 2, 3, 3, 3 of 64, 128, 256, 512, 512 channels) and a classifier.

    Maps floats (N, in_channels, image_size, image_size) to logits (N, classes); images of other sizes
    from 16 upwards pass too. `width` multiplies the channels. 3×3 convolutions without bias, each
    followed by batch normalisation and ReLU; 2×2 max-pooling before the last ReLU of each of the first four
    groups, the mean over all positions after the fifth. Layers: `conv1`, `bn1`, …, `conv13`, `bn13`, `fc`.
    Raises ArgumentError for an argument out of range, image_size < 16 among them.
    """
    return _vgg("vgg16", _VGG16, width, in_channels, classes, image_size)


def vgg19(width: float = 1.0, in_channels: int = 3, classes: int = 10, image_size: int = 32) -> nn.Module:
    """VGG-19: 16 convolutions (2, 2, 4, 4, 4) and a classifier. Otherwise as `vgg16`."""
    return _vgg("vgg19", _VGG19, width, in_channels, classes, image_size)


def _vgg(
    model: str, groups: tuple[int, ...], width: float, in_channels: int, classes: int, image_size: int
) -> nn.Module:
    poolings = len(groups) - 1
    check_arguments(model, width, in_channels, classes, image_size, halvings=poolings)
    layers: list[NamedLayer] = []
    inputs, number = in_channels, 0
    for group, (count, channels) in enumerate(zip(groups, _CHANNELS, strict=True), start=1):
        outputs = scaled(channels, width)
        for _ in range(count):
            number += 1
            layers += [
                # A bias here would be taken out again by the normalisation's mean.
                (f"conv{number}", nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False)),
                (f"bn{number}", nn.BatchNorm2d(outputs)),
                (f"relu{number}", nn.ReLU()),
            ]
            inputs = outputs
        if group <= poolings:
            # Before the last ReLU, which then has a quarter of the work, and gives the same.
            layers.insert(-1, (f"pool{group}", nn.MaxPool2d(2)))
    layers += [("average", GlobalAverage()), ("fc", nn.Linear(inputs, classes))]
    return nn.Sequential(OrderedDict(layers))
