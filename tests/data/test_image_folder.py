"""Folders of images in every layout, Tiny-ImageNet's as published among them, and what is wrong with some."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tombola.data import Dataset, StreamedDataset, load
from tombola.errors import DataError

CLASSES = ("n01", "n02", "n03")


def save(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), value, dtype=np.uint8)).save(path)


def tiny_imagenet(root: Path) -> Path:
    """The layout as published: images below each class, annotations beside those of val, and words."""
    folder = root / "tiny-imagenet-200"
    for label, name in enumerate(CLASSES):
        for number in range(4):
            save(folder / "train" / name / "images" / f"{name}_{number}.png", 10 * label + number)
        (folder / "train" / name / f"{name}_boxes.txt").write_text("n01_0.png\t0\t0\t62\t62\n")
    lines = []
    for number, name in enumerate(["n02", "n01", "n03", "n02"]):
        save(folder / "val" / "images" / f"val_{number}.png", 100 + number)
        lines.append(f"val_{number}.png\t{name}\t0\t0\t62\t62\n")
    (folder / "val" / "val_annotations.txt").write_text("".join(lines))
    (folder / "test" / "images").mkdir(parents=True)
    save(folder / "test" / "images" / "test_0.png", 0)  # without a label: of no use
    (folder / "words.txt").write_text(
        "n01\tgoldfish, Carassius auratus\nn02\tbullfrog\nn03\tnewt, eft\nn09\tother\n"
    )
    return folder


def oblong(path: Path) -> None:
    Image.fromarray(np.zeros((8, 4, 3), dtype=np.uint8)).save(path)


def plain(root: Path, test: str, inner: str = "") -> Path:
    for split in ("train", test):
        for label, name in enumerate(CLASSES):
            for number in range(2):
                save(root / split / name / inner / f"{number}.PNG", 10 * label + number)
    return root


def values(data: Dataset) -> tuple[list[int], list[int]]:
    return data.test.images[:, 0, 0, 0].tolist(), data.test.labels.tolist()


def check_tiny(data: Dataset) -> None:
    assert values(data) == ([100, 101, 102, 103], [1, 0, 2, 1])
    assert data.class_names == ("goldfish", "bullfrog", "newt")
    assert (len(data.train), data.image_size, data.in_channels) == (12, 8, 3)
    assert sorted(data.train.images[:, 0, 0, 0].tolist()) == [10 * k + n for k in range(3) for n in range(4)]
    assert (data.train.images[:, 0, 0, 0] // 10).tolist() == data.train.labels.tolist()


def test_tiny_imagenet_as_a_folder(tmp_path: Path) -> None:
    data = load(tiny_imagenet(tmp_path), validation=0.0)
    check_tiny(data)
    assert data.name == "tiny-imagenet-200"


@pytest.mark.parametrize("inside", [False, True])
def test_tiny_imagenet_by_name(tmp_path: Path, inside: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_imagenet(tmp_path)
    monkeypatch.setattr("tombola.data.locate.KNOWN", {"tiny-imagenet": small_tiny()})
    data = load("tiny-imagenet", data_dir=folder if inside else tmp_path, validation=0.0)
    check_tiny(data)
    assert data.augmentation is not None
    assert data.augmentation.flip
    monkeypatch.setenv("TOMBOLA_DATA", str(tmp_path))
    check_tiny(load("tiny-imagenet", validation=0.0))


def small_tiny() -> object:
    from tombola.data.locate import Known

    return Known("nobody/nothing", CLASSES, test="valid", folders=("tiny-imagenet-200",))


@pytest.mark.parametrize("test", ["test", "val", "valid", "validation"])
@pytest.mark.parametrize("inner", ["", "images"])
def test_a_folder_a_class(tmp_path: Path, test: str, inner: str) -> None:
    data = load(plain(tmp_path / "set", test, inner), validation=0.0)
    assert values(data) == ([0, 1, 10, 11, 20, 21], [0, 0, 1, 1, 2, 2])
    assert data.class_names == CLASSES


def test_a_test_folder_comes_before_one_for_validation(tmp_path: Path) -> None:
    folder = plain(tmp_path / "set", "test")
    save(folder / "val" / "n01" / "x.png", 99)
    assert 99 not in values(load(folder, validation=0.0))[0]


LIST = Path("val", "val_annotations.txt")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda f: (f / LIST).write_text("a.png\n"), "line 1: expected an image and its class, got 'a.png'"),
        (lambda f: (f / LIST).write_text("a.png\tn99\n"), "line 1: expected an image and its class"),
        (lambda f: (f / "val" / "images" / "val_0.png").unlink(), "val_0.png: No such file"),
        (
            lambda f: (f / "val" / "images" / "val_1.png").write_bytes(b"x"),
            "tiny-imagenet-200/val/images/val_1.png: cannot decode the image",
        ),
        (
            lambda f: (f / "train" / "n01" / "images" / "n01_0.png").write_bytes(b"x"),
            "train/n01/images/n01_0.png: cannot decode the image",
        ),
        (
            lambda f: (f / LIST).write_bytes(b"val_0.png\tn02\nh\xf6he.png\tn01\n"),
            r"val_annotations.txt line 2: expected UTF-8, got b'h\\xf6he",
        ),
        (
            lambda f: (f / LIST).write_bytes(b"\nval_0.png\tn02\nval\0_1.png\tn01\n"),
            r"val_annotations.txt line 3: expected an image and its class, got 'val\\x00_1.png",
        ),
        (lambda f: (f / LIST).write_text("\tn01\n"), "line 1: expected an image and its class, got"),
        (
            lambda f: (f / LIST).write_text("val_0.png\tn02\n\nval_1.png\tn01\nval_0.png\tn01\n"),
            "val_annotations.txt line 4: image 'val_0.png' has a class already, from line 1",
        ),
        (lambda f: save(f / "train" / "n09" / "images" / "z.txt.png", 0), None),
        (lambda f: (f / "train" / "empty").mkdir(), "empty: no images of this class"),
        (lambda f: (f / LIST).unlink(), "holds no test images: expected a folder test"),
        (lambda f: (f / LIST).write_text(""), "val: no images"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, harm: object, message: str | None) -> None:
    folder = tiny_imagenet(tmp_path)
    assert callable(harm)
    harm(folder)
    if message is None:
        assert load(folder, validation=0.0).classes == 4
        return
    with pytest.raises(DataError, match=message):
        load(folder, validation=0.0)


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        ("n01/images/n01_0.png", "n01_0.png: images must be square, got 8×4"),
        (
            "n02/images/n02_3.png",
            r"n02_3.png: an image of 8×4 \(height × width\) where .*/n01/images/n01_0.png has 8×8; all must",
        ),
    ],
)
def test_images_of_other_shapes_are_streamed_but_not_those_of_a_known_set(
    tmp_path: Path, odd: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_imagenet(tmp_path)
    oblong(folder / "train" / odd)
    with pytest.warns(UserWarning, match=message):
        assert isinstance(load(folder, validation=0.0), StreamedDataset)
    monkeypatch.setattr("tombola.data.locate.KNOWN", {"tiny-imagenet": small_tiny()})
    with pytest.raises(DataError, match=message):
        load("tiny-imagenet", data_dir=folder)


@pytest.mark.parametrize(
    "words",
    [
        b"n01\tgoldfish\nn02\tbullfrog\n",  # none for n03
        b"n01\tgoldfish\nn02\tbullfrog\nn03\t, eft\n",
        b"n01\tcrane, the bird\nn02\tbullfrog\nn03\tcrane, the machine\n",
        b"n01\tgoldfish\nn02\tgrenouille \xe0 b\nn03\tnewt\n",  # Latin-1
        None,
    ],
)
def test_without_a_word_of_its_own_for_each_class_the_folders_name_them(
    tmp_path: Path, words: bytes | None
) -> None:
    folder = tiny_imagenet(tmp_path)
    (folder / "words.txt").unlink()
    if words is not None:
        (folder / "words.txt").write_bytes(words)
    assert load(folder, validation=0.0).class_names == CLASSES


@pytest.mark.parametrize("inner", ["", "images"])
def test_hidden_entries_are_nobodys(tmp_path: Path, inner: str) -> None:
    folder = plain(tmp_path / "set", "test", inner)
    for split in ("train", "test"):
        save(folder / split / ".ipynb_checkpoints" / "1-checkpoint.png", 99)
        (folder / split / "n01" / inner / "._0.png").write_bytes(b"\0\5\x16\7")
        save(folder / split / "n01" / inner / ".ipynb_checkpoints" / "0.png", 99)
    data = load(folder, validation=0.0)
    assert data.class_names == CLASSES
    assert values(data) == ([0, 1, 10, 11, 20, 21], [0, 0, 1, 1, 2, 2])
    assert len(data.train) == 6


def test_hidden_folders_are_no_classes(tmp_path: Path) -> None:
    (tmp_path / "train" / ".git").mkdir(parents=True)
    with pytest.raises(DataError, match="no folder train with a folder of images"):
        load(tmp_path)


@pytest.mark.parametrize("last", ["\n", "\n\n", " \t\n", "\r\n"])
def test_blank_lines_say_nothing_and_images_without_a_line_are_left_out(tmp_path: Path, last: str) -> None:
    folder = tiny_imagenet(tmp_path)
    with (folder / LIST).open("a", newline="") as file:
        file.write(last)
    save(folder / "val" / "images" / "val_9.png", 200)
    check_tiny(load(folder, validation=0.0))


def test_a_class_of_the_test_split_alone(tmp_path: Path) -> None:
    folder = plain(tmp_path / "set", "test")
    save(folder / "test" / "n09" / "x.png", 9)
    with pytest.raises(DataError, match="n09: a class that the train folder does not have"):
        load(folder)


def test_a_folder_without_images_or_parquet(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no train.parquet .* no folder train with a folder of images"):
        load(tmp_path)
