"""Targets: what is read, what each layer then reads, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from construction_helpers import EVERY, pairs
from torch import nn

from tombola.errors import ArgumentError
from tombola.theory import construct
from tombola.theory.certificate import read_box
from tombola.theory.target import Convolution, read_target

NAN, INF = float("nan"), float("inf")
W = np.ones((3, 4))


def one_line(message: str, *arguments: Any, **options: Any) -> None:
    with pytest.raises(ArgumentError) as caught:
        construct(*arguments, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_sequential_is_read_layer_by_layer() -> None:
    model = nn.Sequential(
        nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2)),
        nn.ReLU(),
        nn.Conv2d(3, 4, 1, bias=False),
        nn.Flatten(),
        nn.ReLU(),
        nn.Linear(4 * 3 * 5, 2),
    )
    first, second, last = read_target(model, (2, 6, 7))
    assert first.convolution == Convolution((3, 2), (2, 1), (1, 0), (1, 2))
    assert (first.size, second.size, last.size) == ((6, 7), (3, 5), None)
    assert [layer.relu for layer in (first, second, last)] == [True, True, False]
    assert [layer.flatten for layer in (first, second, last)] == [False, False, True]
    assert (first.outputs, first.inputs, first.taps) == (3, 2, 6)
    weight = next(model.parameters()).detach().double().numpy().reshape(3, 2, 6)
    assert np.array_equal(first.weight, weight)
    assert not second.bias.any()


def test_a_module_that_stands_twice_is_read_twice() -> None:
    relu, linear = nn.ReLU(), nn.Linear(3, 3)
    layers = read_target(nn.Sequential(linear, relu, linear, relu, nn.Linear(3, 2)))
    assert [layer.relu for layer in layers] == [True, True, False]
    assert [layer.outputs for layer in layers] == [3, 3, 2]
    assert np.array_equal(layers[0].weight, layers[1].weight)


def test_reading_a_target_leaves_it_alone() -> None:
    array = np.ones((1, 2))
    model = nn.Sequential(nn.Linear(2, 1))
    for target in ([(array, None)], model):
        read_target(target)[0].weight[...] = 7.0 if target is model else 1.0
    assert array.max() == 1.0
    assert float(next(model.parameters()).detach().max()) < 7.0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_parameters_of_other_types(dtype: torch.dtype) -> None:
    model = nn.Sequential(nn.Linear(3, 2)).to(dtype)
    weight = next(model.parameters()).detach().double().numpy()
    assert np.array_equal(read_target(model)[0].weight[:, :, 0], weight)


@pytest.mark.parametrize("kernel", [(1, 1), (2, 3), (3, 3), (5, 1)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
@pytest.mark.parametrize("padding", [(0, 0), (1, 0), (2, 1)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1)])
def test_inner_taps_are_those_that_never_read_padding(
    kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int], dilation: tuple[int, int]
) -> None:
    size = (9, 6)
    moves = Convolution(kernel, stride, padding, dilation)
    ones = torch.ones(1, 1, *size)
    expected = []
    for tap in range(kernel[0] * kernel[1]):
        weight = torch.zeros(kernel[0] * kernel[1])
        weight[tap] = 1.0
        read = torch.conv2d(ones, weight.reshape(1, 1, *kernel), None, stride, padding, dilation)
        assert tuple(read.shape[2:]) == moves.output_size(size)
        if bool(read.all()):
            expected.append(tap)
    assert moves.inner_taps(size) == expected


@pytest.mark.parametrize("construction", EVERY)
@pytest.mark.parametrize(
    ("target", "message"),
    [
        ([], "the target has no layers"),
        (nn.Sequential(), "the target has no layers"),
        (nn.Sequential(nn.Flatten()), "the target has no layers"),
        (5, "a target is [(weight, bias), …]"),
        ([W], "a target is [(weight, bias), …]"),
        ([(W, None, None)], "a target is [(weight, bias), …]"),
        (nn.Linear(2, 2), "a target model must be a Sequential, got Linear"),
        (nn.Sequential(nn.Linear(2, 2), nn.Sigmoid()), "layer 1 of the target is Sigmoid"),
        (nn.Sequential(nn.ReLU(), nn.Linear(2, 2)), "layer 0 of the target is a ReLU before any other layer"),
        (nn.Sequential(nn.Linear(2, 2), nn.LeakyReLU()), "layer 1 of the target is LeakyReLU"),
        (nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), "layer 1 of the target is BatchNorm1d"),
        (nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.ReLU())), "layer 0 of the target is Sequential"),
        (nn.Sequential(nn.Linear(2, 2), nn.Flatten(0)), "layer 1 of the target is a Flatten of other axes"),
        (nn.Sequential(nn.Conv2d(1, 1, 1), nn.Flatten()), "ends with a Flatten"),
        (nn.Sequential(nn.Flatten(), nn.Conv2d(1, 1, 1)), "a Conv2d after a Flatten"),
        (nn.Sequential(nn.Linear(2, 2), nn.Conv2d(2, 1, 1)), "layer 1 is a convolution after a linear layer"),
        (nn.Sequential(nn.Conv2d(1, 2, 1), nn.Linear(2, 2)), "put a Flatten between"),
        (nn.Sequential(nn.Conv2d(2, 2, 1, groups=2)), "layer 0: a convolution in groups"),
        (nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular")), "padded otherwise"),
        (nn.Sequential(nn.Conv2d(1, 1, 2, padding="same")), "not the same on both sides"),
        ([(W, None), (W, None)], "layer 1 has 4 inputs, the one before it 3 outputs"),
        ([(np.ones((2, 1, 2, 2)), None), (np.ones((1, 3)), None)], "layer 1 has 3 inputs, which 2 channels"),
        ([(W, np.ones(4))], "layer 0: expected a bias of shape (3,), got (4,)"),
        ([(np.ones(3), None)], "layer 0: expected a weight of shape"),
        ([(np.ones((2, 2, 2)), None)], "layer 0: expected a weight of shape"),
        ([(np.ones((0, 2)), None)], "layer 0: expected a weight of shape"),
        ([(W * NAN, None)], "layer 0: the weight holds a number that is not finite"),
        ([(W, [0, 0, INF])], "layer 0: the bias holds a number that is not finite"),
        ([([["a"]], None)], "layer 0: the weight must be an array of real numbers"),
        ([([["1", "2"]], None)], "layer 0: the weight must be an array of real numbers"),
        ([(W, [b"1", b"2", b"3"])], "layer 0: the bias must be an array of real numbers"),
        ([([[1], [1, 2]], None)], "layer 0: the weight must be an array of real numbers"),
        ([(torch.ones(2, 2, requires_grad=True), None)], "layer 0: the weight must be an array of real"),
        ([(W * 1j, None)], "layer 0: the weight must be an array of real numbers"),
        ([(W, {})], "layer 0: the bias must be an array of real numbers"),
        ([(W, None), (np.full((2, 3), 1e39), None)], "layer 1: its weights and biases must be below"),
    ],
)
def test_targets_that_are_refused(target: Any, message: str, construction: str) -> None:
    one_line(message, target, construction=construction)


@pytest.mark.parametrize(
    ("target", "shape", "message"),
    [
        (nn.Sequential(nn.Conv2d(1, 1, 3)), (2, 5, 5), "input_shape (2, 5, 5) does not fit"),
        (nn.Sequential(nn.Conv2d(1, 1, 3)), (1, 5), "input_shape (1, 5) does not fit"),
        (nn.Sequential(nn.Conv2d(1, 1, 3)), (1, 2, 5), "layer 0: the input is smaller than the kernel"),
        (nn.Sequential(nn.Conv2d(1, 1, 3)), (1, -4, -4), "layer 0: the input is smaller than the kernel"),
        (nn.Sequential(nn.Conv2d(1, 1, 3)), 5, "input_shape is (channels, height, width), got 5"),
        (nn.Sequential(nn.Conv2d(1, 1, 3)), "abc", "input_shape is (channels, height, width), got 'abc'"),
        (nn.Sequential(nn.Conv2d(1, 1, 3)), (1, 5.5, 5), "input_shape is (channels, height, width), got"),
        (nn.Sequential(nn.Linear(6, 2)), (1, 2, 4), "input_shape (1, 2, 4) does not fit"),
        (
            nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3)),
            (1, 5, 5),
            "layer 1 has 8 inputs, which 2 channels of (3, 3) do not come to",
        ),
    ],
)
def test_shapes_that_do_not_fit(target: Any, shape: Any, message: str) -> None:
    one_line(message, target, input_shape=shape)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tolerance": 0}, "tolerance must be a finite number greater than 0, got 0"),
        ({"tolerance": -0.1}, "tolerance must be a finite number greater than 0, got -0.1"),
        ({"tolerance": NAN}, "tolerance must be a finite number greater than 0, got nan"),
        ({"tolerance": INF}, "tolerance must be a finite number greater than 0, got inf"),
        ({"tolerance": True}, "tolerance must be a finite number greater than 0, got True"),
        (
            {"tolerance": np.complex128(1)},
            "tolerance must be a finite number greater than 0, got np.complex128",
        ),
        ({"tolerance": "a"}, "tolerance must be a finite number greater than 0, got 'a'"),
        ({"error": 0}, "error must be a finite number greater than 0, got 0"),
        ({"error": -1.0}, "error must be a finite number greater than 0, got -1.0"),
        ({"error": True}, "error must be a finite number greater than 0, got True"),
        ({"error": NAN}, "error must be a finite number greater than 0, got nan"),
        ({"width_factor": 0}, "width_factor must be a finite number greater than 0, got 0"),
        ({"max_restarts": -1}, "max_restarts must be an integer of at least 0, got -1"),
        ({"max_restarts": np.bool_(True)}, "max_restarts must be an integer of at least 0, got np.True_"),
        ({"max_restarts": 1.5}, "max_restarts must be an integer of at least 0, got 1.5"),
        ({"max_restarts": True}, "max_restarts must be an integer of at least 0, got True"),
        ({"box": (1, 0)}, "the box has an upper bound below its lower one"),
        ({"box": ([0, 0, 0, 0], [1, 1, -1, 1])}, "the box has an upper bound below its lower one"),
        ({"box": ([0, 0, 0], 1)}, "one for each of 4 inputs, of shape (4,), got shapes (3,) and ()"),
        ({"box": (-INF, 1)}, "the box must have finite bounds"),
        ({"box": (NAN, 1)}, "the box must have finite bounds"),
        ({"box": (-1e308, 1e308), "error": 0.1}, "bounds over the box come to more than float64 holds"),
        ({"box": 5}, "a box is (lower, upper), numbers or arrays, got 5"),
        ({"box": (-1j, 1)}, "a box is (lower, upper), numbers or arrays, got"),
        ({"box": (0.0, np.ones(4) * 1j)}, "a box is (lower, upper), numbers or arrays, got"),
        ({"box": (0, 1, 2)}, "a box is (lower, upper), numbers or arrays, got (0, 1, 2)"),
        ({"box": ("a", 1)}, "a box is (lower, upper), numbers or arrays, got ('a', 1)"),
        ({"construction": "two_layer"}, "unknown construction 'two_layer': did you mean 'two_layers'?"),
        ({"construction": "one_extra"}, "did you mean 'one_extra_layer'?"),
        ({"construction": None}, "unknown construction None"),
        ({"construction": ["two_layers"]}, "unknown construction ['two_layers']"),
        ({"density": 0}, "density is the fraction of weights kept, in (0, 1], got 0"),
        ({"density": 1.1}, "density is the fraction of weights kept, in (0, 1], got 1.1"),
        ({"density": NAN}, "density is the fraction of weights kept, in (0, 1], got nan"),
        ({"seed": -1}, "seed must be an integer in [0, 2^64), got -1"),
        ({"seed": 1.0}, "seed must be an integer in [0, 2^64), got 1.0"),
        ({"seed": 1 << 64}, "seed must be an integer in [0, 2^64)"),
        ({"rule": "eark"}, "did you mean 'erk'?"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    one_line(message, [(W, None)], **options)


def test_numbers_of_numpy_are_numbers() -> None:
    options: dict[str, Any] = {
        "tolerance": np.float32(0.01),
        "max_restarts": np.int64(2),
        "width_factor": np.int8(1),
    }
    assert construct([(W, None)], **options).parameter_error <= 0.01


DIP = np.ones((4, 5, 5))
DIP[2, 1, 3] = -1.0


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((0.0, DIP), "upper bound below"),
        ((np.zeros(4), DIP), "upper bound below"),
        ((-DIP, 0.5 * np.ones(4)), "upper bound below"),
        ((np.zeros((2, 2)), 1.0), "one for each of 4 inputs, of shape (4,) or (4, 5, 5), got shapes (2, 2)"),
        ((np.zeros((4, 1)), 1.0), "of shape (4,) or (4, 5, 5), got shapes (4, 1) and ()"),
        ((np.zeros((4, 5, 4)), 1.0), "of shape (4,) or (4, 5, 5), got shapes (4, 5, 4) and ()"),
        ((np.zeros((4, 0, 5)), 1.0), "of shape (4,) or (4, 5, 5), got shapes (4, 0, 5) and ()"),
        ((np.zeros((1, 4, 5, 5)), 1.0), "of shape (4,) or (4, 5, 5), got shapes (1, 4, 5, 5)"),
    ],
)
def test_boxes_that_a_convolution_refuses(box: Any, message: str) -> None:
    one_line(message, nn.Sequential(nn.Conv2d(4, 1, 2)), input_shape=(4, 5, 5), box=box)


def test_boxes_of_images_of_any_size() -> None:
    layers = read_target(nn.Sequential(nn.Conv2d(4, 1, 2)))
    low, high = read_box((-1.0, DIP), layers[0])
    assert (low.tolist(), high.tolist()) == ([-1.0] * 4, [1.0] * 4)
    low, high = read_box((-DIP, np.arange(1.0, 5.0)), layers[0])
    assert (low.tolist(), high.tolist()) == ([-1.0] * 4, [1.0, 2.0, 3.0, 4.0])
    with pytest.raises(ArgumentError, match="height, width"):
        read_box((np.zeros((4, 5, 5)), np.ones((4, 5, 4))), layers[0])


@pytest.mark.parametrize("construction", EVERY)
def test_a_source_too_narrow_says_the_width_that_would_do(construction: str) -> None:
    target = pairs([4, 5, 3])
    with pytest.raises(ArgumentError) as caught:
        construct(target, construction=construction, max_restarts=0, width_factor=0.2)
    message = str(caught.value)
    assert "the source is too narrow" in message
    assert "\n" not in message
    factor = float(message.split("a width_factor of ")[1].split(",", maxsplit=1)[0])
    assert construct(target, construction=construction, width_factor=factor).parameter_error <= 0.01
    there, wanted = (int(message.split(before)[1].split(maxsplit=1)[0]) for before in ("; ", ", for about "))
    made = construct(target, construction=construction, max_restarts=0, width_factor=factor)
    widths = {len(made.ticket.mask[name]) for name in made.ticket.mask}
    assert there < wanted
    assert min(abs(width - wanted) for width in widths) <= 0.3 * wanted + 1


def padded(bias: float) -> nn.Sequential:
    """A convolution that reads padding at every tap."""
    layer = nn.Conv2d(1, 1, 1, padding=1)
    nn.init.constant_(layer.weight, 0.5)
    assert layer.bias is not None
    nn.init.constant_(layer.bias, bias)
    return nn.Sequential(layer)


@pytest.mark.parametrize("construction", ["two_layers", "one_extra_layer"])
def test_a_bias_without_a_constant_is_the_rows_own_or_refused(construction: str) -> None:
    one_line("a bias needs a constant input, but input_shape is not", padded(0.4), construction=construction)
    one_line("but each of its taps reads", padded(0.4), construction=construction, input_shape=(1, 1, 1))
    # Its own random bias, times the gain of 1.5 · 0.5, happens to be this.
    probe = construct(padded(0.0), construction=construction).ticket.recipe
    tensor = next(tensor for tensor in probe.tensors if tensor.name == "2.bias")
    own = 0.75 * float(probe.initial(tensor)[0])
    if abs(own) <= 0.5:  # or the gain would be another
        made = construct(padded(own), construction=construction)
        assert made.parameter_error <= 0.01
        assert made.ticket.mask["2.bias"].all()


@pytest.mark.parametrize("bias", [-0.4, 0.4, 2.0])
def test_a_bias_is_redrawn_like_any_weight(bias: float) -> None:
    assert construct(padded(bias), construction="redraw").parameter_error <= 0.01
