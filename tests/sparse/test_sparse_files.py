"""Files of trained networks: what each layout holds, and that nothing but ArgumentError or OSError leaves
`load`.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sparse_helpers import make_source, outputs, sgd, train
from torch import nn

from builders import CASES
from tombola import ArgumentError, Source
from tombola.sparse import Static, load
from tombola.sparse.files import save

LAYOUTS: tuple[Literal["dense", "sparse"], ...] = ("dense", "sparse")
every_layout = pytest.mark.parametrize("layout", LAYOUTS)


def example() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    state = {"w": torch.tensor([[0.0, 2.0, 0.0], [-1.0, 0.0, 0.5]]), "b": torch.tensor([1.0, 2.0])}
    return state, {"w": np.array([[False, True, False], [True, False, True]])}


def test_the_sparse_layout_is_what_its_docstring_says(tmp_path: Path) -> None:
    state, mask = example()
    save(state, mask, tmp_path / "a", "sparse")
    stored = safetensors.torch.load_file(tmp_path / "a")
    assert {name: (tensor.dtype, tensor.tolist()) for name, tensor in stored.items()} == {
        "w.values": (torch.float32, [2.0, -1.0, 0.5]),
        "w.mask_bits": (torch.uint8, [0b101010]),
        "w.shape": (torch.int64, [2, 3]),
        "b": (torch.float32, [1.0, 2.0]),
    }


def test_a_tensor_kept_whole_stays_as_it_is(tmp_path: Path) -> None:
    state, mask = example()
    save(state, {"w": np.ones_like(mask["w"])}, tmp_path / "a", "sparse")
    assert sorted(safetensors.torch.load_file(tmp_path / "a")) == ["b", "w"]


def test_kept_zeros_keep_their_sign(tmp_path: Path) -> None:
    state = {"w": torch.tensor([-0.0, 0.0, 3.0])}
    save(state, {"w": np.array([True, False, True])}, tmp_path / "a", "sparse")
    assert np.signbit(load(tmp_path / "a")["w"].numpy()).tolist() == [True, False, False]


@every_layout
def test_a_file_is_read_back_and_is_the_same_every_time(layout: Any, tmp_path: Path) -> None:
    training = Static(make_source("conv", "er"), 0.3)
    train(CASES["conv"], training, sgd(training), range(2))
    sizes = [training.save(tmp_path / name, layout) for name in ("a", "b")]
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sizes == [(tmp_path / "a").stat().st_size] * 2
    state = load(str(tmp_path / "a"))
    source = training.source
    source.detach()
    assert state.keys() == source.model.state_dict().keys()
    for name, values in source.model.state_dict().items():
        assert state[name].dtype == values.dtype
        assert torch.equal(state[name], values), name


def test_the_sparse_file_is_the_smaller(tmp_path: Path) -> None:
    training = Static(Source(nn.Linear(100, 100)), 0.1)
    dense, small = (training.save(tmp_path / layout, layout) for layout in LAYOUTS)
    # 10 % of the values, and a bit in the place of 32.
    assert small < 0.2 * dense


@every_layout
def test_a_file_from_another_order_of_memory(layout: Any, tmp_path: Path) -> None:
    """Channels-last weights are not contiguous."""
    model = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    training = Static(Source(model), 0.5)
    training.save(tmp_path / "a", layout)
    assert np.array_equal(load(tmp_path / "a")["weight"].numpy(), training.weights()["weight"])


class WithBuffers(nn.Module):
    """A model with a buffer that its state dict has, and one that it does not have."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(12, 5)
        self.register_buffer("scale", torch.tensor(2.0))
        self.register_buffer("cache", torch.ones(3), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.linear(x) * self.scale
        return result


@every_layout
def test_the_file_has_the_keys_of_the_plain_state_dict(layout: Any, tmp_path: Path) -> None:
    training = Static(Source(WithBuffers()), 0.3)
    training.save(tmp_path / "a", layout)
    plain = WithBuffers()
    plain.load_state_dict(load(tmp_path / "a"))
    assert torch.equal(outputs("mlp", plain), outputs("mlp", training.source.model))


@every_layout
def test_a_file_can_be_written_after_detaching(layout: Any, tmp_path: Path) -> None:
    training = Static(make_source("conv", "er"), 0.3)
    training.save(tmp_path / "before", layout)
    training.source.detach()
    training.save(tmp_path / "after", layout)
    assert (tmp_path / "before").read_bytes() == (tmp_path / "after").read_bytes()


def test_unknown_layouts_are_refused_and_no_file_is_left(tmp_path: Path) -> None:
    training = Static(make_source("mlp"), 0.3)
    with pytest.raises(ArgumentError, match="layout must be dense or sparse, got 'csr'"):
        training.save(tmp_path / "a", "csr")  # type: ignore[arg-type]
    with pytest.raises(OSError, match="nowhere"):
        training.save(tmp_path / "nowhere" / "a")
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none")
    with pytest.raises(IsADirectoryError):
        load(tmp_path)


def stored(**changed: Any) -> dict[str, torch.Tensor]:
    tensors = {
        "w.values": torch.tensor([2.0, -1.0, 0.5]),
        "w.mask_bits": torch.tensor([0b101010], dtype=torch.uint8),
        "w.shape": torch.tensor([2, 3]),
    }
    tensors |= {f"w.{name}": tensor for name, tensor in changed.items() if tensor is not None}
    return {name: t for name, t in tensors.items() if changed.get(name.removeprefix("w."), 0) is not None}


@pytest.mark.parametrize(
    "changed",
    [
        {"values": torch.tensor([2.0, -1.0])},
        {"values": torch.tensor([[2.0], [-1.0], [0.5], [0.1]])},
        {"values": None},
        {"shape": None},
        {"shape": torch.tensor([2, 4, 9])},
        {"shape": torch.tensor([-2, -3])},
        {"shape": torch.tensor([1 << 62, 1 << 62])},
        {"shape": torch.tensor([2.0, 3.0])},
        {"shape": torch.tensor([[2, 3]])},
        {"shape": torch.tensor(6)},
        {"shape": torch.tensor([], dtype=torch.int64)},
        {"shape": torch.tensor([0, 1 << 62])},
        {"mask_bits": torch.tensor([0b111111], dtype=torch.uint8)},
        {"mask_bits": torch.tensor([1, 2], dtype=torch.uint8)},
        {"mask_bits": torch.tensor([42], dtype=torch.int64)},
        {"mask_bits": torch.tensor([42.0])},
        {"mask_bits": torch.tensor([42.0], dtype=torch.bfloat16)},
    ],
    ids=str,
)
def test_a_packed_tensor_that_does_not_add_up_is_refused(changed: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(safetensors.torch.save(stored(**changed)))
    with pytest.raises(ArgumentError, match="a holds no trained network: "):
        load(tmp_path / "a")


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"\x00" * 64, b"PK\x03\x04" + b"\x00" * 60, b"\xff" * 64, b"\x80\x04]."]
)
def test_foreign_files_are_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(ArgumentError, match="a holds no trained network: "):
        load(tmp_path / "a")


@pytest.mark.parametrize("kind", ["F4", "F8_E8M0", "I128", "", 3, "BOOL"])
def test_types_that_are_none_of_torch_are_refused(kind: Any, tmp_path: Path) -> None:
    header = json.dumps({"w": {"dtype": kind, "shape": [2], "data_offsets": [0, 3]}}).encode()
    (tmp_path / "a").write_bytes(struct.pack("<Q", len(header)) + header + b"\x00" * 3)
    with pytest.raises(ArgumentError, match="a holds no trained network: "):
        load(tmp_path / "a")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@pytest.mark.parametrize("shape", [[0, 1 << 63], [0, (1 << 64) - 1], [0, 1 << 62, 1 << 62]])
def test_vast_shapes_of_nothing_are_refused(shape: list[int], tmp_path: Path) -> None:
    header = json.dumps({"w": {"dtype": "BOOL", "shape": shape, "data_offsets": [0, 0]}}).encode()
    (tmp_path / "a").write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(ArgumentError, match="a holds no trained network: ") as caught:
        load(tmp_path / "a")
    assert "\n" not in str(caught.value)


@settings(max_examples=300)
@given(st.data())
def test_damaged_files_raise_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    state, mask = example()
    path = tmp_path_factory.getbasetemp() / "damaged"
    save(state, mask, path, data.draw(st.sampled_from(LAYOUTS)))
    damaged = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(damaged) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    path.write_bytes(bytes(damaged[:cut]) if data.draw(st.booleans()) else bytes(damaged))
    try:
        found = load(path)
    except ArgumentError as error:
        assert "\n" not in str(error)
    else:
        assert all(isinstance(tensor, torch.Tensor) for tensor in found.values())
