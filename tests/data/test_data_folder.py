"""Folders of parquet files: layouts, columns, class names, and every way in which one can be wrong."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from data_helpers import encode, images_table, noise, small_folder, table, write
from PIL import Image

from tombola.data import Augmentation, Dataset, Split, StreamedDataset, load
from tombola.data.parquet import find
from tombola.errors import ArgumentError, DataError


def tensor(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> torch.Tensor:
    return torch.from_numpy(pixels)


def everything(dataset: Dataset) -> set[tuple[bytes, int]]:
    return pairs(dataset.train) | pairs(dataset.validation)


def pairs(split: Split) -> set[tuple[bytes, int]]:
    rows = zip(split.images, split.labels.tolist(), strict=True)
    return {(image.numpy().tobytes(), label) for image, label in rows}


def test_a_folder_as_it_is(tmp_path: Path) -> None:
    dataset = load(small_folder(tmp_path / "mine"), validation=0.2, seed=3)
    assert dataset.name == "mine"
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (16, 4, 6)
    assert torch.equal(dataset.test.images, tensor(noise(6, seed=2)))
    assert dataset.test.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert everything(dataset) == {(p.tobytes(), i % 2) for i, p in enumerate(noise(20, seed=1))}
    assert dataset.class_names == ("0", "1")
    # What is in it is not known, and letters are not mirrored.
    assert dataset.augmentation == Augmentation(pad=1, flip=False)


def test_the_name_is_the_folders_own_wherever_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (load(small_folder(tmp_path / place / "mine")) for place in ("a", "b"))
    assert torch.equal(first.validation.images, second.validation.images)
    monkeypatch.chdir(tmp_path / "a")
    assert load("mine").name == load("mine/").name == "mine"
    monkeypatch.chdir(tmp_path / "a" / "mine")
    assert load("./").name == "mine"


def test_a_fraction_that_holds_nothing_out_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="validation 0.01 holds none of the 20 training images out"):
        load(small_folder(tmp_path / "mine"), validation=0.01)


def test_the_fingerprint_tells_data_apart(tmp_path: Path) -> None:
    first, same, split = (
        load(small_folder(tmp_path / place / "mine"), validation=0.2, seed=seed).fingerprint()
        for place, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first == same != split
    other = write(tmp_path, train=images_table(noise(20)), test=images_table(noise(6)))
    assert load(other, validation=0.2).fingerprint() != first


@pytest.mark.parametrize("layout", ["", "data", "plain_text"])
def test_the_hubs_layouts(tmp_path: Path, layout: str) -> None:
    pixels = noise(9)
    write(
        tmp_path / layout,
        train__00000__of__00002=images_table(pixels[:5], [0, 1, 2, 0, 1]),
        train__00001__of__00002=images_table(pixels[5:7], [2, 0]),
        test__00000__of__00001=images_table(pixels[7:], [0, 2]),
    )
    dataset = load(tmp_path, validation=0)
    assert torch.equal(dataset.train.images, tensor(pixels[:7]))
    assert dataset.train.labels.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert torch.equal(dataset.test.images, tensor(pixels[7:]))


def test_a_known_set_is_measured_on_the_split_it_is_known_for(tmp_path: Path) -> None:
    pixels = noise(6)
    write(
        tmp_path,
        train=images_table(pixels[:3], [0, 1, 999]),
        validation=images_table(pixels[3:5], [0, 1]),
        test=images_table(pixels[5:], [-1]),  # labels that are secret
    )
    for split in ("validation", "test"):
        files = find(tmp_path, test=split)
        assert files is not None
        assert [path.stem for path in files[1]] == [split]
    imagenet = load("imagenet", data_dir=tmp_path, validation=0, image_size=8, workers=0)
    assert imagenet.test.labels.tolist() == [0, 1]


@pytest.mark.parametrize("image", ["img", "image"])
@pytest.mark.parametrize("label", ["label", "fine_label"])
@pytest.mark.parametrize("plain", [False, True])
def test_columns(tmp_path: Path, image: str, label: str, plain: bool) -> None:
    made = images_table(noise(4), [0, 1, 2, 3], image=image, label=label, plain=plain)
    made = made.append_column("coarse_label", pa.array([7, 7, 7, 7]))
    dataset = load(write(tmp_path, train=made, test=made), validation=0)
    assert dataset.train.labels.tolist() == [0, 1, 2, 3]
    assert torch.equal(dataset.train.images, tensor(noise(4)))


def test_class_names_of_the_hub(tmp_path: Path) -> None:
    assert load(small_folder(tmp_path, names=["cat", "dog", "eel"])).class_names == ("cat", "dog", "eel")


@pytest.mark.parametrize("metadata", [b"{", b"[]", b'{"info": null}', b'{"info": {"features": {}}}', b"\xff"])
def test_metadata_of_another_form_is_no_obstacle(tmp_path: Path, metadata: bytes) -> None:
    made = images_table(noise(4)).replace_schema_metadata({"huggingface": metadata})
    assert load(write(tmp_path, train=made, test=made), validation=0).class_names == ("0", "1")


def test_grey_when_all_are_grey(tmp_path: Path) -> None:
    grey = images_table(noise(4, channels=1))
    dataset = load(write(tmp_path, train=grey, test=grey), validation=0)
    assert dataset.in_channels == 1
    assert torch.equal(dataset.train.images, tensor(noise(4, channels=1)))


@pytest.mark.parametrize("where", ["one image", "one split"])
def test_one_image_in_colour_makes_all_rgb(tmp_path: Path, where: str) -> None:
    grey, colour = noise(4, channels=1), noise(4)
    cells = [encode(image) for image in grey]
    if where == "one image":
        train = table([*cells[:3], encode(colour[3])], [0, 1, 0, 1])
        expected = np.concatenate([np.repeat(grey[:3], 3, axis=3), colour[3:]])
    else:
        train, expected = table(cells, [0, 1, 0, 1]), np.repeat(grey, 3, axis=3)
    dataset = load(write(tmp_path, train=train, test=images_table(colour)), validation=0)
    assert torch.equal(dataset.train.images, tensor(expected))
    assert torch.equal(dataset.test.images, tensor(colour))


@pytest.mark.parametrize(("mode", "kind"), [("RGBA", "PNG"), ("P", "PNG"), ("1", "PNG"), ("CMYK", "JPEG")])
def test_other_modes_become_rgb(tmp_path: Path, mode: str, kind: str) -> None:
    cells = [encode(image, kind, mode) for image in noise(2)]
    made = table(cells, [0, 1])
    dataset = load(write(tmp_path, train=made, test=made), validation=0)
    expected = [np.asarray(Image.open(io.BytesIO(cell)).convert("RGB")) for cell in cells]
    assert torch.equal(dataset.train.images, tensor(np.stack(expected)))


def test_large_images_are_decoded_on_threads_in_order(tmp_path: Path) -> None:
    pixels = noise(600, size=64, channels=1)
    made = images_table(pixels)
    test = images_table(pixels[:2])
    assert torch.equal(
        load(write(tmp_path, train=made, test=test), validation=0).train.images, tensor(pixels)
    )


def test_a_table_in_many_row_groups(tmp_path: Path) -> None:
    made = images_table(noise(7), [0, 1, 2, 3, 0, 1, 2])
    pieces = pa.concat_tables([made.slice(i, 1) for i in range(7)])
    dataset = load(write(tmp_path, train=pieces, test=pieces), validation=0)
    assert dataset.train.labels.tolist() == [0, 1, 2, 3, 0, 1, 2]
    assert torch.equal(dataset.train.images, tensor(noise(7)))


def test_what_a_folder_must_hold(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        load(tmp_path / "absent")
    with pytest.raises(DataError, match=r"holds no train\.parquet and test\.parquet"):
        load(tmp_path)
    write(tmp_path, train=images_table(noise(4)))
    with pytest.raises(DataError, match=r"holds no train\.parquet and test\.parquet"):
        load(tmp_path)
    with pytest.raises(DataError, match="is not a folder"):
        load(tmp_path / "train.parquet")


def test_a_missing_shard(tmp_path: Path) -> None:
    made = images_table(noise(4))
    write(tmp_path, train__00000__of__00003=made, train__00002__of__00003=made, test=made)
    with pytest.raises(DataError, match="2 train files, expected 3"):
        load(tmp_path)


def test_bytes_that_are_no_parquet(tmp_path: Path) -> None:
    folder = small_folder(tmp_path)
    whole = (folder / "train.parquet").read_bytes()
    for content in (b"", b"PAR1 but nothing else", whole[:-20], whole[:200] + whole[260:]):
        (folder / "train.parquet").write_bytes(content)
        with pytest.raises(DataError, match=r"train\.parquet") as caught:
            load(folder)
        assert "\n" not in str(caught.value)


def broken_jpeg() -> bytes:
    return encode(noise(1, size=32)[0], "JPEG")[:300]


GOOD = [encode(image) for image in noise(4)]
LABELS = [0, 1, 0, 1]


SHAPES = [
    (
        table([*GOOD[:3], encode(noise(1, size=5)[0])], LABELS),
        r"row 3: an image of 5×5 \(height × width\) where row 0 has 4×4",
    ),
    (
        table([*GOOD[:3], encode(noise(1)[0][:3])], LABELS),
        r"row 3: an image of 3×4 \(height × width\) where row 0 has 4×4",
    ),
    (table([encode(image[:3]) for image in noise(4)], LABELS), "row 0: images must be square, got 3×4"),
]


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (
            table(GOOD, LABELS, image="picture"),
            "no image column, expected img or image, found picture, label",
        ),
        (table(GOOD, LABELS, label="y"), "no label column, expected label or fine_label, found img, y"),
        (table(GOOD, LABELS).select(["img"]), "no label column"),
        (pa.table({"img": LABELS, "label": LABELS}), "column img: expected a struct .* got int64"),
        (
            pa.table({"img": [{"path": "a"}] * 4, "label": LABELS}),
            "column img: expected a struct of bytes and path, or binary, got struct<path: string>",
        ),
        (table(GOOD, ["a", "b", "a", "b"]), "column label: expected integers, got string"),
        (table(GOOD, [0.0, 1.0, 0.0, 1.0]), "column label: expected integers, got double"),
        (table(GOOD, [0, 1, None, 1]), "column label: 1 labels are null"),
        (table(GOOD, [0, 1, -1, 1]), "row 2: label -1"),
        (table(GOOD, [0, 1, 2, 10**9]), "row 3: label 1000000000"),
        (table(GOOD, [0, 1, 2, 3], names=["a", "b", "c"]), "row 3: label 3, expected 0 … 2 for 3 classes"),
        (table([*GOOD[:2], None, GOOD[3]], LABELS), "row 2: no image bytes"),
        (table([*GOOD[:3], b""], LABELS), "row 3: cannot decode the image"),
        (table([*GOOD[:3], b"no image at all"], LABELS), r"row 3: cannot decode the image \(cannot identify"),
        (table([GOOD[0], GOOD[1][:-30], *GOOD[2:]], LABELS), "row 1: cannot decode the image"),
        (table([broken_jpeg()], [0]), "row 0: cannot decode the image"),
        (
            table([encode(noise(1, channels=1)[0], mode="I;16")], [0]),
            "row 0: an image of mode I;16, expected at most 8 bits",
        ),
        (table([], pa.array([], pa.int64())), "the train split has no rows"),
    ],
)
def test_rejections(tmp_path: Path, train: pa.Table, message: str) -> None:
    write(tmp_path, train=train, test=table(GOOD, LABELS))
    with pytest.raises(DataError, match=message) as caught:
        load(tmp_path)
    assert str(caught.value).startswith(str(tmp_path / "train.parquet"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (table(GOOD, [0, 1, 2, 1]), r"test\.parquet row 2: label 2, expected 0 … 1 for 2 classes"),
        (table(GOOD, LABELS, names=["b", "a"]), r"test\.parquet: other class names, or another order"),
        (table([], pa.array([], pa.int64())), "the test split has no rows"),
    ],
)
def test_a_test_split_that_does_not_fit(tmp_path: Path, test: pa.Table, message: str) -> None:
    named = "other class names" in message
    write(tmp_path, train=table(GOOD, LABELS, names=["a", "b"] if named else None), test=test)
    with pytest.raises(DataError, match=message):
        load(tmp_path)


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        *((train, table(GOOD, LABELS), message) for train, message in SHAPES),
        (
            table(GOOD, LABELS),
            images_table(noise(2, size=5)),
            r"test\.parquet row 0: an image of 5×5 where .*train\.parquet row 0 has 4×4",
        ),
    ],
)
def test_images_of_other_shapes_are_streamed_but_not_those_of_a_known_set(
    tmp_path: Path, train: pa.Table, test: pa.Table, message: str
) -> None:
    write(tmp_path, train=train, test=test)
    with pytest.raises(DataError, match=message):
        load("cifar10", data_dir=tmp_path)
    with pytest.warns(UserWarning, match=message):
        assert isinstance(load(tmp_path, validation=0.0), StreamedDataset)


def test_a_folder_needs_no_data_dir(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="is a folder already; drop --data-dir"):
        load(small_folder(tmp_path), data_dir=tmp_path)
