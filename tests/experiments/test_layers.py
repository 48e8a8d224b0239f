"""layers.json: a record that agrees with the ticket, and can be checked by hand."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from commands import finished, ticket_of
from tombola.experiments.layers import SIDE, write_layers
from tombola.mask import Mask


def tensors_of(folder: Path) -> list[dict[str, Any]]:
    tensors: list[dict[str, Any]] = json.loads((folder / "layers.json").read_text())["tensors"]
    return tensors


def bits(picture: dict[str, Any], plane: str) -> npt.NDArray[np.bool_]:
    rows, columns = picture["rows"], picture["columns"]
    packed = np.frombuffer(base64.b64decode(picture[plane]), np.uint8)
    return np.unpackbits(packed)[: rows * columns].reshape(rows, columns).astype(bool)


def test_a_layer_by_hand(tmp_path: Path) -> None:
    alive = np.array([[1, 1, 1, 0], [1, 1, 1, 1]], bool)
    kept = np.array([[1, 0, 1, 0], [0, 1, 0, 1]], bool)
    drawn = np.array([[2, 9, 0, 0], [9, 0, 9, 7]], np.int32)  # 9: of weights that are pruned
    write_layers(tmp_path, {"w": alive}, {"w": kept}, {"w": drawn})
    (tensor,) = tensors_of(tmp_path)
    picture = tensor.pop("picture")
    assert tensor == {
        "name": "w",
        "shape": [2, 4],
        "weights": 8,
        "alive": 7,
        "kept": 4,
        "generations": [[0, 2], [2, 1], [7, 1]],
    }
    assert base64.b64decode(picture["kept"]) == bytes([0b10100101])
    assert base64.b64decode(picture["alive"]) == bytes([0b11101111])


def test_weights_that_are_trained_have_no_generations(tmp_path: Path) -> None:
    mask = Mask({"a": np.ones((2, 2), bool), "b": np.zeros(3, bool)})
    write_layers(tmp_path, mask, mask, None)
    assert [tensor["generations"] for tensor in tensors_of(tmp_path)] == [None, None]
    write_layers(tmp_path, mask, mask, {"a": None, "b": None})
    assert [tensor["generations"] for tensor in tensors_of(tmp_path)] == [[[0, 4]], []]


def test_pictures_are_corners_of_large_tensors(tmp_path: Path) -> None:
    kept = np.random.default_rng(0).random((200, 3, 9, 9)) < 0.5
    tensors = {"conv": kept, "bias": kept[:, 0, 0, 0], "scalar": np.ones((), bool)}
    source = {name: np.ones_like(values) for name, values in tensors.items()}
    write_layers(tmp_path, source, tensors, None)
    conv, bias, scalar = (tensor["picture"] for tensor in tensors_of(tmp_path))
    assert np.array_equal(bits(conv, "kept"), kept.reshape(200, -1)[:SIDE, :SIDE])
    assert conv["alive"] is None  # the source has them all
    assert np.array_equal(bits(bias, "kept"), kept[None, :SIDE, 0, 0, 0])
    assert bits(scalar, "kept").tolist() == [[True]]


def test_a_search_records_its_ticket() -> None:
    folder = finished(
        "search", "--source-density", "0.5", "--density", "0.2", "--period", "3", "--rate", "0.5"
    )
    ticket, tensors = ticket_of(folder), tensors_of(folder)
    assert [tensor["name"] for tensor in tensors] == list(ticket.mask)
    alive = ticket.recipe.mask()
    for tensor in tensors:
        mask, source = ticket.mask[tensor["name"]], alive[tensor["name"]]
        assert tensor["shape"] == list(mask.shape)
        assert (tensor["kept"], tensor["alive"]) == (mask.sum(), source.sum())
        assert sum(number for _, number in tensor["generations"]) == tensor["kept"]
        assert np.array_equal(bits(tensor["picture"], "kept"), mask[:SIDE, :SIDE])
        assert np.array_equal(bits(tensor["picture"], "alive"), source[:SIDE, :SIDE])
    assert any(generation > 0 for tensor in tensors for generation, _ in tensor["generations"])


def test_sparse_training_records_its_mask() -> None:
    folder = finished("train", "--method", "random", "--density", "0.25")
    mask = Mask.load(folder / "mask.safetensors")
    tensors = {tensor["name"]: tensor for tensor in tensors_of(folder)}
    assert {name: tensor["kept"] for name, tensor in tensors.items()} == {n: m.sum() for n, m in mask.items()}
    assert {tensor["generations"] for tensor in tensors.values()} == {None}


def test_dense_training_has_no_layers_to_record() -> None:
    assert not (finished("train") / "layers.json").exists()
