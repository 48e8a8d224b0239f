"""The network to construct: linear layers and convolutions with ReLUs between them, as numpy arrays."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tombola.errors import ArgumentError

Floats = npt.NDArray[np.float64]
Pair = tuple[int, int]


@dataclass(frozen=True)
class Convolution:
    """How a two-dimensional kernel moves over its input; sizes are (height, width)."""

    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)

    def output_size(self, size: Pair) -> Pair:
        """The size of the output for an input of `size`."""
        height, width = (
            (size[d] + 2 * self.padding[d] - self.dilation[d] * (self.kernel[d] - 1) - 1) // self.stride[d]
            + 1
            for d in (0, 1)
        )
        return height, width

    def inner_taps(self, size: Pair) -> list[int]:
        """The kernel's positions, counted row by row, that read padding at no output position."""
        outputs = self.output_size(size)
        inner = [
            [
                tap
                for tap in range(self.kernel[d])
                if tap * self.dilation[d] >= self.padding[d]
                and (outputs[d] - 1) * self.stride[d] + tap * self.dilation[d] - self.padding[d] < size[d]
            ]
            for d in (0, 1)
        ]
        return [row * self.kernel[1] + column for row in inner[0] for column in inner[1]]


@dataclass(frozen=True)
class TargetLayer:
    """A layer of the target: z = W x + b, then ReLU where `relu` says so.

    `weight`: float64 of shape (out, in, taps), taps the kernel's positions, 1 for a linear layer. `bias`:
    (out,). `flatten`: the inputs are a convolution's channels, flattened. `convolution`: None for a linear
    layer. `size`: height and width of a convolution's input, None where they are not known.
    """

    weight: Floats
    bias: Floats
    relu: bool
    flatten: bool = False
    convolution: Convolution | None = None
    size: Pair | None = None

    @property
    def outputs(self) -> int:
        """Neurons, or channels."""
        return int(self.weight.shape[0])

    @property
    def inputs(self) -> int:
        """Inputs, or input channels."""
        return int(self.weight.shape[1])

    @property
    def taps(self) -> int:
        """Positions of the kernel."""
        return int(self.weight.shape[2])


def read_target(target: Any, input_shape: Sequence[int] | None = None) -> tuple[TargetLayer, ...]:
    """The layers of a target: [(weight, bias), …] of arrays with ReLUs between them, or a torch `Sequential`
    of Linear, Conv2d, Flatten and ReLU.

    Weights are (out, in) or (out, in, height, width), a bias is (out,) or None. `input_shape`, (channels,
    height, width), says what a convolution with padding reads. Raises ArgumentError naming the layer for
    anything else, and for a number that is not finite.
    """
    layers = _of_modules(target) if hasattr(target, "children") else _of_arrays(target)
    if not layers:
        raise ArgumentError("the target has no layers")
    return _connected(layers, input_shape)


def _of_arrays(target: Iterable[Any]) -> list[TargetLayer]:
    try:
        pairs = [(weight, bias) for weight, bias in target]
    except (TypeError, ValueError):
        raise ArgumentError(
            "a target is [(weight, bias), …] or a Sequential of Linear, Conv2d, Flatten and ReLU, got "
            f"{type(target).__name__}"
        ) from None
    layers = [_layer(f"layer {number}", weight, bias, None) for number, (weight, bias) in enumerate(pairs)]
    # A linear layer after a convolution reads its channels flattened.
    spatial = [layer.convolution is not None for layer in layers]
    return [
        replace(
            layer,
            relu=number < len(layers) - 1,
            flatten=number > 0 and spatial[number - 1] and not spatial[number],
        )
        for number, layer in enumerate(layers)
    ]


def _of_modules(target: Any) -> list[TargetLayer]:
    from torch import nn

    if not isinstance(target, nn.Sequential):
        raise ArgumentError(f"a target model must be a Sequential, got {type(target).__name__}")
    _check_plain("the target", target)
    layers: list[TargetLayer] = []
    flatten = False
    # Not named_children(), which leaves out a module that stands in more than one place.
    for name, module in target._modules.items():
        _check_plain(f"layer {name} of the target", module)
        if isinstance(module, nn.ReLU) and layers:
            layers[-1] = replace(layers[-1], relu=True)
        elif isinstance(module, nn.Flatten) and module.start_dim == 1 and module.end_dim == -1:
            flatten = True
        elif isinstance(module, (nn.Linear, nn.Conv2d)):
            if flatten and isinstance(module, nn.Conv2d):
                raise ArgumentError(f"layer {name} of the target is a Conv2d after a Flatten")
            bias = None if module.bias is None else _numbers(module.bias)
            layer = _layer(f"layer {name}", _numbers(module.weight), bias, module)
            layers.append(replace(layer, flatten=flatten and layer.convolution is None))
            flatten = False
        else:
            what = {
                nn.ReLU: "a ReLU before any other layer",
                nn.Flatten: "a Flatten of other axes than 1 to -1",
            }
            raise ArgumentError(
                f"layer {name} of the target is {what.get(type(module), type(module).__name__)}: "
                "constructions are for Linear, Conv2d, Flatten and ReLU"
            )
    if flatten and layers and layers[-1].convolution:
        raise ArgumentError("the target ends with a Flatten: end it with the convolution before")
    return layers


def _check_plain(name: str, module: Any) -> None:
    """Raise ArgumentError where a module of a known class computes something else than that class does: a
    subclass or an instance with a `forward` (or `__call__`) of its own, or one with forward hooks.
    Parametrized modules are of a subclass too, but with the plain forward.
    """
    from torch import nn

    from tombola.source.surgery import plain_forward

    for plain in (nn.Sequential, nn.Linear, nn.Conv2d, nn.Flatten, nn.ReLU):
        if not isinstance(module, plain):
            continue
        kind = type(module)
        own = ["forward"] if plain_forward(kind) is not plain.forward else []
        own += [
            method
            for method in ("_conv_forward", "__call__")
            if getattr(kind, method, None) is not getattr(plain, method, None)
        ]
        own += [method for method in ("forward", "_conv_forward", "__call__") if method in vars(module)]
        if own:
            raise ArgumentError(
                f"{name} is {type(module).__name__}, a {plain.__name__} with its own {own[0]}"
            )
        if module._forward_hooks or module._forward_pre_hooks:
            raise ArgumentError(f"{name} has forward hooks: expected a plain {plain.__name__}")


def _layer(name: str, weight: Any, bias: Any, module: Any) -> TargetLayer:
    array = _array(f"{name}: the weight", weight)
    if array.ndim not in (2, 4) or 0 in array.shape:
        raise ArgumentError(
            f"{name}: expected a weight of shape (out, in) or (out, in, height, width), got {array.shape}"
        )
    offset = np.zeros(array.shape[0]) if bias is None else _array(f"{name}: the bias", bias)
    if offset.shape != array.shape[:1]:
        raise ArgumentError(f"{name}: expected a bias of shape {array.shape[:1]}, got {offset.shape}")
    for what, values in (("weight", array), ("bias", offset)):
        if not np.isfinite(values).all():
            raise ArgumentError(f"{name}: the {what} holds a number that is not finite")
    convolution = _convolution(name, array, module) if array.ndim == 4 else None
    return TargetLayer(array.reshape(*array.shape[:2], -1), offset, relu=False, convolution=convolution)


def _array(what: str, values: Any) -> Floats:
    try:
        array = np.asarray(values)
        # numpy would drop an imaginary part, and read numbers in strings.
        if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
            raise TypeError("no real numbers")
        return array.astype(np.float64)
    except (TypeError, ValueError, RuntimeError):  # torch's own for a tensor with a gradient
        raise ArgumentError(
            f"{what} must be an array of real numbers, got {values!r:.60}".replace("\n", " ")
        ) from None


def _convolution(name: str, weight: Floats, module: Any) -> Convolution:
    kernel = (int(weight.shape[2]), int(weight.shape[3]))
    if module is None:
        return Convolution(kernel)
    if module.groups != 1 or module.padding_mode != "zeros":
        raise ArgumentError(f"{name}: a convolution in groups, or padded otherwise than with zeros: {module}")
    dilation = tuple(module.dilation)
    if module.padding == "same":
        reach = [dilation[d] * (kernel[d] - 1) for d in (0, 1)]
        if any(length % 2 for length in reach):
            raise ArgumentError(f"{name}: 'same' padding that is not the same on both sides: {module}")
        padding: Any = tuple(length // 2 for length in reach)
    else:
        padding = (0, 0) if module.padding == "valid" else tuple(module.padding)
    return Convolution(kernel, tuple(module.stride), padding, dilation)


def _connected(layers: list[TargetLayer], input_shape: Sequence[int] | None) -> tuple[TargetLayer, ...]:
    """The layers with the sizes of what they read. Raises ArgumentError where two do not fit."""
    channels, size = _input(layers[0], input_shape)
    found: list[TargetLayer] = []
    for number, layer in enumerate(layers):
        if layer.convolution is None and number > 0 and found[-1].convolution is not None:
            if not layer.flatten:
                raise ArgumentError(f"layer {number} is linear after a convolution: put a Flatten between")
            pixels, rest = divmod(layer.inputs, channels)
            if rest or (size is not None and pixels != math.prod(size)):
                raise ArgumentError(
                    f"layer {number} has {layer.inputs} inputs, which {channels} channels of "
                    f"{size or 'any size'} do not come to"
                )
        elif layer.convolution is not None and number > 0 and found[-1].convolution is None:
            raise ArgumentError(f"layer {number} is a convolution after a linear layer")
        elif layer.inputs != channels:
            raise ArgumentError(
                f"layer {number} has {layer.inputs} inputs, the one before it {channels} outputs"
            )
        found.append(replace(layer, size=size if layer.convolution else None))
        if layer.convolution is not None and size is not None:
            size = layer.convolution.output_size(size)
            if min(size) < 1:
                raise ArgumentError(f"layer {number}: the input is smaller than the kernel")
        channels = layer.outputs
    return tuple(found)


def _input(first: TargetLayer, shape: Sequence[int] | None) -> tuple[int, Pair | None]:
    if shape is None:
        return first.inputs, None
    try:
        sizes = tuple(operator.index(size) for size in shape)
    except TypeError:
        raise ArgumentError(f"input_shape is (channels, height, width), got {shape!r:.60}") from None
    if first.convolution is None and math.prod(sizes) == first.inputs:
        return first.inputs, None
    if first.convolution is None or len(sizes) != 3 or sizes[0] != first.inputs:
        raise ArgumentError(f"input_shape {sizes} does not fit the first layer, of {first.inputs} inputs")
    return sizes[0], (sizes[1], sizes[2])


def _numbers(parameter: Any) -> Floats:
    values: Floats = parameter.detach().cpu().double().numpy().copy()
    return values
