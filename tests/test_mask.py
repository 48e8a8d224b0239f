"""Mask: a validated mapping, and its files; top_k: exact counts, stated ties."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from tombola import ArgumentError, Mask
from tombola.mask import top_k

few_values = st.lists(st.integers(-3, 3), min_size=1, max_size=40)


@given(few_values, st.data())
def test_top_k_is_the_stable_sort(values: list[int], data: st.DataObject) -> None:
    keep = data.draw(st.integers(0, len(values)))
    order = sorted(range(len(values)), key=lambda index: (-values[index], index))
    expected = [index in order[:keep] for index in range(len(values))]
    assert top_k(np.array(values, dtype=np.float32), keep).tolist() == expected


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=40), st.data())
def test_top_k_counts_exactly_for_any_floats(values: list[float], data: st.DataObject) -> None:
    keep = data.draw(st.integers(0, len(values)))
    scores = np.array(values, dtype=np.float32)
    mask = top_k(scores, keep)
    assert mask.sum() == keep
    if 0 < keep < len(values):
        assert scores[mask].min() >= scores[~mask].max()


def test_top_k_leaves_the_scores_alone() -> None:
    scores = np.array([3.0, 1.0, 2.0], dtype=np.float32)
    top_k(scores, 1)
    assert scores.tolist() == [3.0, 1.0, 2.0]


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_top_k_refuses_nan(keep: int) -> None:
    with pytest.raises(ArgumentError, match="scores must be numbers, got NaN at index 1"):
        top_k(np.array([1.0, np.nan, 2.0], dtype=np.float32), keep)


def test_density_counts_kept_weights() -> None:
    mask = Mask({"a": [[True, False]], "b": [True, True, False, False, False, False]})
    assert (mask.kept, mask.total, mask.density) == (3, 8, 0.375)
    assert mask.shapes == {"a": (1, 2), "b": (6,)}
    assert Mask({}).density == 0.0


def test_masks_compare_by_content_in_any_order() -> None:
    mask = Mask({"a": [1, 0], "b": [1]})
    assert mask == Mask({"a": [True, False], "b": [True]})
    assert mask == Mask({"b": [1], "a": [1, 0]})
    assert mask != Mask({"a": [1, 1], "b": [1]})
    assert mask != Mask({"a": [1, 0]})
    assert mask != 3


def test_subset() -> None:
    small, large = Mask({"a": [1, 0, 0]}), Mask({"a": [1, 0, 1]})
    assert small <= large
    assert not large <= small
    assert not small <= Mask({"b": [1, 1, 1]})


def test_a_mask_cannot_be_changed() -> None:
    given_array = np.array([True, False])
    mask = Mask({"a": given_array})
    given_array[1] = True
    assert mask.kept == 1
    with pytest.raises(ValueError, match="read-only"):
        mask["a"][0] = False


@pytest.mark.parametrize("values", [[0.5], [2], ["yes"], [None]])
def test_what_is_not_boolean_is_refused(values: list[object]) -> None:
    with pytest.raises(ArgumentError, match="mask 'a': expected booleans, got"):
        Mask({"a": np.array(values)})


def mixed() -> Mask:
    generator = np.random.default_rng(0)
    shapes = [("b", (3, 5)), ("a.weight", (2, 3, 2, 2)), ("none", (0, 4)), ("one", ()), ("ü", (9,))]
    return Mask({name: generator.random(shape) < 0.5 for name, shape in shapes})


def test_digest_is_what_its_docstring_says() -> None:
    mask = Mask({"b": [[1, 0, 0], [0, 0, 1]], "a": [0, 1, 0, 0, 0, 0, 0, 0, 1]})
    # Bits from the lowest: 0 and 5 of `b`; 1 and 8 of `a`.
    text = b"1 a (9,) " + bytes([0b10, 0b1]) + b"1 b (2, 3) " + bytes([0b100001])
    assert mask.digest == hashlib.sha256(text).hexdigest()


def test_digest_tells_masks_apart_and_no_more() -> None:
    mask = mixed()
    assert mask.digest == Mask({name: mask[name] for name in reversed(list(mask))}).digest
    assert mask.digest == Mask({name: array.copy(order="F") for name, array in mask.items()}).digest
    others = [
        {**mask, "b": ~mask["b"]},
        {**mask, "b": mask["b"].reshape(5, 3)},
        {**mask, "none": np.zeros((4, 0), bool)},
        {name: array for name, array in mask.items() if name != "none"},
        {name + "c" * (name == "b"): array for name, array in mask.items()},
    ]
    assert len({mask.digest, *(Mask(other).digest for other in others)}) == 6


def test_a_saved_mask_is_read_back_in_order_of_the_names(tmp_path: Path) -> None:
    mask = mixed()
    mask.save(tmp_path / "mask")
    loaded = Mask.load(str(tmp_path / "mask"))
    assert loaded == Mask({name: mask[name] for name in sorted(mask)})
    assert loaded.digest == mask.digest
    assert loaded.shapes == {name: mask.shapes[name] for name in sorted(mask)}
    assert not loaded["b"].flags.writeable
    others = safetensors.numpy.load_file(tmp_path / "mask")
    assert {array.dtype for array in others.values()} == {np.dtype(bool)}
    mask.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "mask").read_bytes()


def test_a_mask_of_another_order_of_memory_is_saved_as_it_is(tmp_path: Path) -> None:
    array = np.arange(12).reshape(3, 4) % 5 == 0
    Mask({"a": array.T}).save(tmp_path / "mask")
    assert np.array_equal(Mask.load(tmp_path / "mask")["a"], array.T)


def test_where_no_mask_can_be_saved_or_read(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        mixed().save(tmp_path / "nowhere" / "mask")
    with pytest.raises(FileNotFoundError):
        Mask.load(tmp_path / "none")
    with pytest.raises(IsADirectoryError):
        Mask.load(tmp_path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "mask is no mask file"),
        (b"PK\x03\x04" + bytes(60), "is no mask file"),
        (
            safetensors.numpy.save({"w": np.ones(3, np.float32)}),
            "tensor 'w' holds float32, expected bool",
        ),
        (safetensors.numpy.save({"w": np.ones(3, np.uint8)}), "tensor 'w' holds uint8, expected booleans"),
        (safetensors.numpy.save({}), "it holds no tensors"),
    ],
)
def test_other_files_are_no_masks(data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "mask").write_bytes(data)
    with pytest.raises(ArgumentError, match="mask is no mask file: ") as caught:
        Mask.load(tmp_path / "mask")
    assert message in str(caught.value)


@pytest.mark.parametrize("kind", ["BF16", "F8_E4M3", "F4", "", 3])
def test_types_that_numpy_has_not_are_no_masks(kind: object, tmp_path: Path) -> None:
    header = json.dumps({"w": {"dtype": kind, "shape": [2], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "mask").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    with pytest.raises(ArgumentError, match="is no mask file"):
        Mask.load(tmp_path / "mask")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("masks")


@pytest.mark.parametrize("shape", [[0, 1 << 63], [0, (1 << 64) - 1], [0, 1 << 62, 1 << 62]])
def test_vast_mask_shapes_of_nothing_are_refused(shape: list[int], tmp_path: Path) -> None:
    header = json.dumps({"w": {"dtype": "BOOL", "shape": shape, "data_offsets": [0, 0]}}).encode()
    (tmp_path / "a").write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(ArgumentError, match="a is no mask file: ") as caught:
        Mask.load(tmp_path / "a")
    assert "\n" not in str(caught.value)


@given(st.data())
def test_damaged_mask_files_raise_nothing_else(folder: Path, data: st.DataObject) -> None:
    mixed().save(folder / "mask")
    damaged = bytearray((folder / "mask").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged))) if data.draw(st.booleans()) else len(damaged)
    (folder / "mask").write_bytes(bytes(damaged[:cut]))
    try:
        assert all(set(array.ravel().tolist()) <= {0, 1} for array in Mask.load(folder / "mask").values())
    except ArgumentError as error:
        assert "\n" not in str(error)


def test_arrays_of_no_shape() -> None:
    with pytest.raises(ArgumentError, match="^mask 'a': setting an array element with a sequence"):
        Mask({"a": [[True], [True, False]]})


def test_a_name_that_a_file_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="^no tensor of a mask file can be called '__metadata__'$"):
        Mask({"__metadata__": [True]}).save(tmp_path / "m.safetensors")
    assert not list(tmp_path.iterdir())
