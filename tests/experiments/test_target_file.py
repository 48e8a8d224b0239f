"""Targets in files: what is a chain of linear layers, and what no file of weights tells."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from tombola import models
from tombola.errors import ArgumentError
from tombola.experiments.target_file import read_layers

State = dict[str, torch.Tensor]


def written(folder: Path, state: State) -> Path:
    safetensors.torch.save_file(state, folder / "target.safetensors")
    return folder / "target.safetensors"


def linear(**sizes: tuple[int, int]) -> State:
    """The weights of layers, by name with _ for a dot, of (out, in)."""
    return {f"{name.replace('_', '.')}.weight": torch.rand(size) for name, size in sizes.items()}


def test_numbers_of_a_file_are_not_rounded(tmp_path: Path) -> None:
    weight, bias = torch.rand(3, 4).double() + 1e-12, torch.rand(3).double()
    ((read, offset),) = read_layers(written(tmp_path, {"0.weight": weight, "0.bias": bias}))
    assert offset is not None
    assert torch.equal(read, weight)
    assert torch.equal(offset.double(), bias)


@pytest.mark.parametrize(
    "model",
    [
        nn.Linear(3, 2),
        nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3, bias=False), nn.ReLU(), nn.Linear(3, 3)),
        nn.Sequential(nn.Flatten(), *(nn.Linear(2, 2) for _ in range(11))),
        models.mlp(width=0.1, in_channels=1, image_size=8),
        models.lenet_300_100(width=0.1, in_channels=1, image_size=8),
    ],
)
def test_chains_are_read_in_their_order(tmp_path: Path, model: nn.Module) -> None:
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    read = read_layers(written(tmp_path, model.state_dict()))
    for (weight, bias), layer in zip(read, layers, strict=True):
        assert torch.equal(weight, layer.weight.double())
        assert (bias is None) == (layer.bias is None)
        assert bias is None or torch.equal(bias, layer.bias.double())


@pytest.mark.parametrize(
    "state",
    [
        linear(hidden=(8, 6), out=(3, 8)),
        linear(fc1=(8, 6), fc2=(8, 8), fc3=(8, 8), out=(3, 8)),
        linear(first=(8, 6), hidden=(8, 8), last=(3, 8)),  # a square layer has one place only
        linear(body_0=(6, 6), body_2=(6, 6), head=(3, 6)),
    ],
)
def test_names_without_numbers_where_shapes_leave_one_order(tmp_path: Path, state: State) -> None:
    read = read_layers(written(tmp_path, state))
    for (weight, _), expected in zip(read, state.values(), strict=True):
        assert torch.equal(weight, expected.double())


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (nn.Conv2d(1, 2, 3).state_dict(), "'weight' of shape (2, 1, 3, 3) is a convolution's, whose stride"),
        (nn.Conv1d(1, 2, 3).state_dict(), "'weight' of shape (2, 1, 3) is a convolution's, whose stride"),
        (models.conv2(width=0.1).state_dict(), "'conv1.weight' of shape (6, 3, 3, 3) is a convolution's"),
        (
            nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3), nn.Linear(3, 2)).state_dict(),
            "'1.weight' of shape (3,) is no linear layer's but, it seems, a normalisation's",
        ),
        (
            nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, affine=False)).state_dict(),
            "expected NAME.weight and NAME.bias of linear layers alone, got '1.num_batches_tracked'",
        ),
        ({"0.weight": torch.ones(()), "1.weight": torch.ones(2, 2)}, "'0.weight' of shape () is no linear"),
        ({**linear(fc=(3, 4)), "scale": torch.ones(1)}, "linear layers alone, got 'scale'"),
        ({**linear(fc=(3, 4)), "other.bias": torch.ones(3)}, "linear layers alone, got 'other.bias'"),
        ({"norm.running_mean": torch.ones(3)}, "linear layers alone, got 'norm.running_mean'"),
        ({}, "linear layers alone, got nothing"),
        ({**linear(fc=(3, 4)), "fc.bias": torch.ones(4)}, "expected 'fc.bias' of shape (3,), got (4,)"),
        (
            linear(hidden=(8, 6), entry=(6, 4)) | linear(out=(3, 5)),
            "'out.weight' has 5 inputs, 'hidden.weight' before it 8 outputs: expected layers that follow",
        ),
        (linear(policy=(4, 8), value=(1, 8)), "'value.weight' has 8 inputs, 'policy.weight' before it 4"),
        # An autoencoder, which the alphabet turns inside out.
        (
            linear(encoder=(4, 16), decoder=(16, 4)),
            "'decoder.weight' and 'encoder.weight' tell no order, and by their shapes the layers may",
        ),
        (linear(encoder_0=(9, 16), encoder_2=(4, 9), decoder_0=(9, 4), decoder_2=(16, 9)), "tell no order"),
        (linear(left=(8, 8), right=(8, 8)), "'left.weight' and 'right.weight' tell no order"),
    ],
)
def test_what_a_file_does_not_tell_is_refused(tmp_path: Path, state: State, said: str) -> None:
    path = written(tmp_path, state)
    with pytest.raises(ArgumentError) as caught:
        read_layers(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no network", b"\2\0\0\0\0\0\0\0{]"])
def test_other_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ArgumentError, match="is no safetensors file"):
        read_layers(tmp_path / "file")
