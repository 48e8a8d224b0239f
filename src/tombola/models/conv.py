"""Conv-2, -4, -6 and -8: pairs of 3×3 convolutions with max-pooling, then three dense layers.

Source: Frankle and Carbin, "The lottery ticket hypothesis", ICLR 2019, figure 2 (Conv-2/4/6, scaled-down
VGGs); Ramanujan et al., "What's hidden in a randomly weighted neural network?", CVPR 2020 (Conv-8 and the
width multiplier); Chijiwa et al., "Pruning randomly initialized neural networks with iterative
randomization", NeurIPS 2021 (Conv-6).
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from tombola.models.common import check_arguments, scaled
from tombola.models.perceptron import NamedLayer, dense_layers

_CHANNELS = (64, 128, 256, 512)
_HIDDEN = (256, 256)


def conv2(width: float = 1.0, in_channels: int = 3, classes: int = 10, image_size: int = 32) -> nn.Module:
    """Conv-2: two 3×3 convolutions of 64 channels, 2×2 max-pooling, dense 256, 256, `classes`.

    Maps floats (N, in_channels, image_size, image_size) to logits (N, classes). `width` multiplies the
    channels and the hidden dense layers. ReLU after every convolution and hidden dense layer (behind the
    pooling, where there is one), biases everywhere, no normalisation. Layers: `conv1`, `conv2`, `fc1`,
    `fc2`, `fc3`. Raises ArgumentError for an argument out of range, image_size < 2 among them.
    """
    return _conv("conv2", 1, width, in_channels, classes, image_size)


def conv4(width: float = 1.0, in_channels: int = 3, classes: int = 10, image_size: int = 32) -> nn.Module:
    """Conv-4: pairs of 64 and 128 channels. Otherwise as `conv2`; image_size at least 4."""
    return _conv("conv4", 2, width, in_channels, classes, image_size)


def conv6(width: float = 1.0, in_channels: int = 3, classes: int = 10, image_size: int = 32) -> nn.Module:
    """Conv-6: pairs of 64, 128 and 256 channels. Otherwise as `conv2`; image_size at least 8.

    2,261,184 weights (biases not counted) at width 1 on 32×32 colour images with 10 classes.

    >>> conv6(width=0.25).fc1
    Linear(in_features=1024, out_features=64, bias=True)
    """
    return _conv("conv6", 3, width, in_channels, classes, image_size)


def conv8(width: float = 1.0, in_channels: int = 3, classes: int = 10, image_size: int = 32) -> nn.Module:
    """Conv-8: pairs of 64, 128, 256 and 512 channels. Otherwise as `conv2`; image_size at least 16."""
    return _conv("conv8", 4, width, in_channels, classes, image_size)


def _conv(model: str, pairs: int, width: float, in_channels: int, classes: int, image_size: int) -> nn.Module:
    check_arguments(model, width, in_channels, classes, image_size, halvings=pairs)
    layers: list[NamedLayer] = []
    inputs = in_channels
    for pair, channels in enumerate(_CHANNELS[:pairs], start=1):
        outputs = scaled(channels, width)
        first, second = 2 * pair - 1, 2 * pair
        layers += [
            (f"conv{first}", nn.Conv2d(inputs, outputs, kernel_size=3, padding=1)),
            (f"relu{first}", nn.ReLU()),
            (f"conv{second}", nn.Conv2d(outputs, outputs, kernel_size=3, padding=1)),
            # Before the ReLU, which then has a quarter of the work, and gives the same.
            (f"pool{pair}", nn.MaxPool2d(2)),
            (f"relu{second}", nn.ReLU()),
        ]
        inputs = outputs
    # Pooling rounds down, so an odd last row or column is dropped.
    features = inputs * (image_size // 2**pairs) ** 2
    hidden = [scaled(units, width) for units in _HIDDEN]
    layers += [("flatten", nn.Flatten()), *dense_layers(features, hidden, classes)]
    return nn.Sequential(OrderedDict(layers))
