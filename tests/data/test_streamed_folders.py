"""Which folders are streamed, in which layouts, and what is wrong with some."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from streaming_helpers import parquet_files, streamed, write_shard

from photos import CLASSES, encoded, image_folders, photo, sized
from tombola.data import Dataset, StreamedDataset, load
from tombola.data.locate import Known
from tombola.errors import ArgumentError, DataError


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def touched(*_: object) -> None:
        raise AssertionError("what was given a folder asked the hub")

    monkeypatch.delenv("TOMBOLA_DATA", raising=False)
    monkeypatch.setattr("tombola.data.locate.open_repository", touched)


@pytest.mark.parametrize("make", [image_folders, parquet_files])
def test_images_of_several_sizes_are_streamed_and_it_is_said(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    folder = make(tmp_path / "set")
    with pytest.warns(
        UserWarning, match=r"must be square.*; so they are read as they are needed, and cropped to 224×224"
    ):
        data = load(folder, workers=0)
    assert isinstance(data, StreamedDataset)
    assert (data.name, data.image_size) == ("set", 224)


def uniform(root: Path) -> Path:
    for split in ("train", "val"):
        for label, name in enumerate(CLASSES):
            (root / split / name).mkdir(parents=True)
            (root / split / name / "1.png").write_bytes(encoded(photo(8, 8, seed=label)))
    return root


def uniform_parquet(root: Path) -> Path:
    root.mkdir()
    for split in ("train", "test"):
        write_shard(root / f"{split}.parquet", [encoded(photo(8, 8, n)) for n in range(6)], [0, 1, 2] * 2)
    return root


@pytest.mark.parametrize("make", [uniform, uniform_parquet])
def test_many_images_are_streamed_though_of_one_size(
    tmp_path: Path,
    make: Callable[[Path], Path],
    monkeypatch: pytest.MonkeyPatch,
    recwarn: pytest.WarningsRecorder,
) -> None:
    folder = make(tmp_path / "set")
    assert isinstance(load(folder, validation=0.0), Dataset)
    monkeypatch.setattr("tombola.data.locate.MOST_IN_MEMORY", 200)
    assert isinstance(load(folder, validation=0.0), StreamedDataset)
    assert not recwarn.list


def test_only_a_later_file_differs(tmp_path: Path) -> None:
    folder = uniform_parquet(tmp_path / "set")
    write_shard(folder / "test.parquet", [encoded(photo(9, 9))], [0])
    with pytest.warns(UserWarning, match="an image of 9×9 where .* has 8×8"):
        assert isinstance(load(folder, validation=0.0), StreamedDataset)


def test_annotated_images(tmp_path: Path) -> None:
    """The val folder of Tiny-ImageNet, classes in a file; hidden files and strangers are nobody's."""
    folder = image_folders(tmp_path / "set", test=0)
    shutil.rmtree(folder / "val")
    (folder / "val" / "images").mkdir(parents=True)
    for number, name in enumerate(["n02", "n01"]):
        (folder / "val" / "images" / f"{number}.JPEG").write_bytes(sized(number))
        with (folder / "val" / "val_annotations.txt").open("a") as file:
            file.write(f"{number}.JPEG\t{name}\t0\n")
    (folder / "train" / "n01" / "._000.JPEG").write_bytes(b"")
    (folder / "train" / "n01" / "boxes.txt").write_bytes(b"")
    inner = folder / "train" / "n02" / "images"
    inner.mkdir()
    for path in (folder / "train" / "n02").glob("*.JPEG"):
        path.rename(inner / path.name)
    data = streamed(folder)
    assert (len(data.train), data.test.labels.tolist()) == (24, [1, 0])
    (folder / "val" / "images" / "1.JPEG").unlink()
    with pytest.raises(DataError, match=r"val/images/1.JPEG: No such file"):
        streamed(folder)


@pytest.mark.parametrize("make", [image_folders, parquet_files])
def test_the_fingerprint_tells_data_apart_wherever_they_lie(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    folder = make(tmp_path / "one" / "set")
    known = streamed(folder).fingerprint()
    moved = Path(shutil.copytree(folder, tmp_path / "two" / "set"))
    assert streamed(moved).fingerprint() == known
    others = {known, streamed(folder, validation=0.25).fingerprint()}
    others.add(streamed(folder, validation=0.25, seed=1).fingerprint())
    if make is image_folders:
        path = moved / "train" / "n01" / "000.JPEG"
        path.write_bytes(path.read_bytes() + b"\0")
        others.add(streamed(moved).fingerprint())
        path.rename(moved / "train" / "n02" / "000.JPEG")
        others.add(streamed(moved).fingerprint())
    else:
        for labels in ([0, 1, 2] * 3, [2, 1, 0] * 3):
            write_shard(moved / "validation-00000-of-00001.parquet", [sized(n) for n in range(9)], labels)
            others.add(streamed(moved).fingerprint())
    assert len(others) == 5


def remove(folder: Path) -> None:
    for path in (folder / "train" / "n02").iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (remove, "train/n02: no images of this class"),
        (lambda f: (f / "val" / "n09").mkdir(), "val/n09: a class that the train folder does not have"),
        (lambda f: shutil.rmtree(f / "val"), "holds no test images"),
        (lambda f: [p.unlink() for p in (f / "val").rglob("*.JPEG")], r"val: no images \("),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: Callable[[Path], object], said: str
) -> None:
    folder = image_folders(tmp_path / "set")
    harm(folder)
    monkeypatch.setattr("tombola.data.locate.MOST_IN_MEMORY", 200)  # streamed at once, not after a failure
    with pytest.raises(DataError, match=said):
        load(folder, validation=0.0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"image_size": 0}, r"image_size must be in \[1, 4096\] pixels, got 0"),
        ({"image_size": 5000}, r"image_size must be in \[1, 4096\] pixels, got 5000"),
        ({"workers": -1}, "workers must be a whole number of at least 0, got -1"),
        ({"validation": 0.01}, "validation 0.01 holds none of the 24 training images out"),
        ({"validation": 0.99}, "leaves none"),
    ],
)
def test_options_that_cannot_be_are_refused(tmp_path: Path, options: dict[str, float], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        streamed(image_folders(tmp_path / "set"), **options)


def known(monkeypatch: pytest.MonkeyPatch, classes: int = 3) -> None:
    small = Known(
        "nobody/nothing", tuple(map(str, range(classes))), test="validation", folders=("else",), streamed=True
    )
    monkeypatch.setattr("tombola.data.locate.KNOWN", {"imagenet": small})


@pytest.mark.parametrize("make", [image_folders, parquet_files, uniform, uniform_parquet])
@pytest.mark.parametrize("place", [".", "imagenet", "else", "imagenet/data"])
def test_imagenet_by_name(
    tmp_path: Path,
    make: Callable[[Path], Path],
    place: str,
    monkeypatch: pytest.MonkeyPatch,
    recwarn: pytest.WarningsRecorder,
) -> None:
    known(monkeypatch)
    if place == "imagenet/data" and make in (image_folders, uniform):
        place = "imagenet"
    (tmp_path / "x" / place).parent.mkdir(parents=True, exist_ok=True)
    make(tmp_path / "x" / place)
    data = load("imagenet", data_dir=tmp_path / "x", validation=0.0, image_size=16, workers=0)
    assert isinstance(data, StreamedDataset)
    assert (data.name, data.classes) == ("imagenet", 3)
    assert not recwarn.list
    monkeypatch.setenv("TOMBOLA_DATA", str(tmp_path / "x"))
    assert load("imagenet", validation=0.0).fingerprint() == data.fingerprint()


def test_a_part_of_imagenet_is_not_taken_for_it(tmp_path: Path) -> None:
    folder = image_folders(tmp_path / "imagenet")
    with pytest.raises(
        DataError, match="train has 3 classes, expected 1000: give a part of a data set by its path"
    ):
        load("imagenet", data_dir=tmp_path)
    assert streamed(folder).name == "folder:imagenet"
    shutil.rmtree(folder)
    parquet_files(folder)
    with pytest.raises(DataError, match="labels end at 2: this looks like cifar10, not imagenet"):
        load("imagenet", data_dir=tmp_path)


def test_a_folder_without_imagenet(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"no imagenet in the given folder {tmp_path}"):
        load("imagenet", data_dir=tmp_path)


def test_labels_are_known_without_decoding(tmp_path: Path) -> None:
    folder = image_folders(tmp_path / "set")
    for path in folder.rglob("*.JPEG"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match="cannot decode the image"):
        load(folder)
    Image.new("RGB", (8, 9)).save(folder / "train" / "n01" / "000.JPEG")
    data = streamed(folder, validation=0.25)
    assert data.train.labels.bincount().tolist() == [6, 6, 6]
    assert torch.equal(data.test.labels, torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2]))
