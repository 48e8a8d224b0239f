"""ResNet-18, -34, -50 and -101, with the stem that suits the image's size.

Source: He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016, table 1; projection
shortcuts where the shape changes, identity elsewhere (section 4.1, option B). A bottleneck's stride sits in
its 3×3 convolution, not in the first 1×1 as in the paper: the form of torchvision and most later work, with
the same number of weights.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from tombola.models.common import GlobalAverage, check_arguments, scaled

_CHANNELS = (64, 128, 256, 512)
_LARGEST_SMALL_IMAGE = 64


class BasicBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut: (N, inputs, H, W) -> (N, channels, H / stride, W / stride).

    He et al. 2016, figure 5, left. Sizes that `stride` does not divide are rounded up.
    """

    expansion = 1

    def __init__(self, inputs: int, channels: int, width: float, stride: int) -> None:
        super().__init__()
        self.outputs = scaled(channels, width)
        self.conv1, self.bn1 = _conv(inputs, self.outputs, 3, stride), nn.BatchNorm2d(self.outputs)
        self.conv2, self.bn2 = _conv(self.outputs, self.outputs, 3), nn.BatchNorm2d(self.outputs)
        self.shortcut = _shortcut(inputs, self.outputs, stride)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block to `x` of shape (N, inputs, H, W)."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y)) + self.shortcut(x)
        out: Tensor = self.relu(y)
        return out


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolutions beside a shortcut; four times `channels` leave it.

    (N, inputs, H, W) -> (N, 4 · channels, H / stride, W / stride); He et al. 2016, figure 5, right.
    Sizes that `stride` does not divide are rounded up.
    """

    expansion = 4

    def __init__(self, inputs: int, channels: int, width: float, stride: int) -> None:
        super().__init__()
        inner, self.outputs = scaled(channels, width), scaled(self.expansion * channels, width)
        self.conv1, self.bn1 = _conv(inputs, inner, 1), nn.BatchNorm2d(inner)
        self.conv2, self.bn2 = _conv(inner, inner, 3, stride), nn.BatchNorm2d(inner)
        self.conv3, self.bn3 = _conv(inner, self.outputs, 1), nn.BatchNorm2d(self.outputs)
        self.shortcut = _shortcut(inputs, self.outputs, stride)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block to `x` of shape (N, inputs, H, W)."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y)) + self.shortcut(x)
        out: Tensor = self.relu(y)
        return out


def resnet18(width: float = 1.0, in_channels: int = 3, classes: int = 10, image_size: int = 32) -> nn.Module:
    """ResNet-18: stages of 2, 2, 2, 2 basic blocks of 64, 128, 256, 512 channels.

    Maps floats (N, in_channels, image_size, image_size) to logits (N, classes); images of other sizes from
    8 upwards pass too, `image_size` only chooses the stem: up to 64 a 3×3 convolution, above it 7×7 with
    stride 2 and 3×3 max-pooling with stride 2. `width` multiplies every number of channels. Convolutions
    have no bias. Layers: `conv1`, `bn1`, `layer1.0.conv1`, …, `layer2.0.shortcut.conv`, …, `fc`. Raises
    ArgumentError for an argument out of range, image_size < 8 among them. 11,173,962 parameters at width 1
    on 32×32 colour images with 10 classes.
    """
    return _resnet("resnet18", BasicBlock, (2, 2, 2, 2), width, in_channels, classes, image_size)


def resnet34(width: float = 1.0, in_channels: int = 3, classes: int = 10, image_size: int = 32) -> nn.Module:
    """ResNet-34: stages of 3, 4, 6, 3 basic blocks. Otherwise as `resnet18`."""
    return _resnet("resnet34", BasicBlock, (3, 4, 6, 3), width, in_channels, classes, image_size)


def resnet50(width: float = 1.0, in_channels: int = 3, classes: int = 10, image_size: int = 32) -> nn.Module:
    """ResNet-50: stages of 3, 4, 6, 3 bottleneck blocks. Otherwise as `resnet18`."""
    return _resnet("resnet50", Bottleneck, (3, 4, 6, 3), width, in_channels, classes, image_size)


def resnet101(width: float = 1.0, in_channels: int = 3, classes: int = 10, image_size: int = 32) -> nn.Module:
    """ResNet-101: stages of 3, 4, 23, 3 bottleneck blocks. Otherwise as `resnet18`."""
    return _resnet("resnet101", Bottleneck, (3, 4, 23, 3), width, in_channels, classes, image_size)


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """A "same" convolution without bias: the batch normalisation behind it would remove one."""
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(
        OrderedDict(conv=_conv(inputs, outputs, 1, stride), bn=nn.BatchNorm2d(outputs)),
    )


def _resnet(
    model: str,
    block: type[BasicBlock] | type[Bottleneck],
    depths: tuple[int, int, int, int],
    width: float,
    in_channels: int,
    classes: int,
    image_size: int,
) -> nn.Module:
    # Smaller images would pass, but with nothing left for the last stages to halve: a mistake, as in Conv-2.
    check_arguments(model, width, in_channels, classes, image_size, halvings=len(depths) - 1)
    channels = scaled(_CHANNELS[0], width)
    small = image_size <= _LARGEST_SMALL_IMAGE
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=_conv(in_channels, channels, 3) if small else _conv(in_channels, channels, 7, stride=2),
        bn1=nn.BatchNorm2d(channels),
    )
    if not small:
        # Before the ReLU, which then has a quarter of the work, and gives the same.
        layers["pool"] = nn.MaxPool2d(3, stride=2, padding=1)
    layers["relu"] = nn.ReLU()
    for stage, (depth, nominal) in enumerate(zip(depths, _CHANNELS, strict=True), start=1):
        blocks: list[nn.Module] = []
        for position in range(depth):
            # The pooling of the stem, or its absence, has settled the size at which stage 1 works.
            stride = 2 if stage > 1 and position == 0 else 1
            built = block(channels, nominal, width, stride)
            blocks.append(built)
            channels = built.outputs
        layers[f"layer{stage}"] = nn.Sequential(*blocks)
    layers["average"], layers["fc"] = GlobalAverage(), nn.Linear(channels, classes)
    return nn.Sequential(layers)
