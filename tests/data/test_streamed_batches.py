"""Streamed batches: the same from any start, for any number of workers and of processes."""

from __future__ import annotations

import tarfile
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
import torch
from data_helpers import REAL
from streaming_helpers import parquet_files, same, streamed

from photos import image_folders
from tombola.data import StreamedDataset
from tombola.data.loader import DatasetLike, Share
from tombola.data.streaming import decoding
from tombola.data.streaming.images import Cell
from tombola.errors import ArgumentError

MAKERS = {"folder": image_folders, "parquet": parquet_files}


@pytest.fixture(params=MAKERS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """24 training and 9 test images of three classes, in either layout."""
    return MAKERS[request.param](tmp_path / "set")


def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the images that are decoded from now on."""
    names: list[str] = []
    real = decoding.decode_cell

    def spy(cell: Cell, *arguments: object) -> torch.Tensor:
        names.append(cell.name)
        return real(cell, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(decoding, "decode_cell", spy)
    return names


def test_a_streamed_set_is_what_the_loop_asks_for(folder: Path) -> None:
    data: DatasetLike = streamed(folder, validation=0.25)
    assert (len(data.train), len(data.validation), len(data.test)) == (18, 6, 9)
    assert data.validation.labels.bincount().tolist() == [2, 2, 2]
    assert (data.in_channels, data.image_size, data.classes) == (3, 16, 3)
    assert data.mean == (0.485, 0.456, 0.406)
    assert data.examples([0, 5]).shape == (2, 16, 16, 3)


def test_resuming_gives_the_same_batches(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = streamed(folder).training(5, seed=3, augment=True)
    assert len(batches) == 4  # the last, of four images, is left out
    whole = list(batches.epoch(2))
    for start in range(5):
        names = seen(monkeypatch)
        assert same(streamed(folder).training(5, seed=3, augment=True).epoch(2, start), whole[start:])
        assert len(names) == 5 * (4 - start)  # of those before nothing is decoded
        monkeypatch.undo()


@pytest.mark.parametrize("workers", [1, 2])
def test_any_number_of_workers_makes_the_same(folder: Path, workers: int) -> None:
    state = torch.get_rng_state()
    alone, together = streamed(folder), streamed(folder, workers=workers)
    # More images than are handed to a worker at once, so that there is something to put together.
    for epoch in (0, 1):
        expected = list(alone.training(24, seed=3, augment=True).epoch(epoch))
        assert same(together.training(24, seed=3, augment=True).epoch(epoch), expected)
        shown = list(alone.training(5, seed=3, augment=False).epoch(epoch, start=1))
        assert same(together.training(5, seed=3, augment=False).epoch(epoch, start=1), shown)
    assert same(
        together.evaluation(together.test, 4).epoch(0), list(alone.evaluation(alone.test, 4).epoch(0))
    )
    assert torch.equal(torch.get_rng_state(), state)  # which dropout draws from


def test_tasks_of_a_batch_are_put_together_in_order(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = list(streamed(folder).training(12, seed=3, augment=True).epoch(0))
    monkeypatch.setattr("tombola.data.streaming.batches._CHUNK", 5)
    for workers in (0, 2):
        assert same(streamed(folder, workers=workers).training(12, seed=3, augment=True).epoch(0), expected)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("split", ["train", "test"])
def test_processes_share_every_batch(
    folder: Path, count: int, split: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def batches(data: StreamedDataset, share: Share) -> list[tuple[torch.Tensor, torch.Tensor]]:
        loader = (
            data.training(7, seed=1, augment=True, share=share)
            if split == "train"
            else data.evaluation(data.test, 4, share=share)
        )
        return list(loader.epoch(1, start=1))

    data = streamed(folder)
    whole = batches(data, Share())
    names = seen(monkeypatch)
    parts = [batches(data, Share(rank, count)) for rank in range(count)]
    assert len(names) == len(set(names)) == sum(len(y) for _, y in whole)
    for step, (x, y) in enumerate(whole):
        assert torch.equal(torch.cat([part[step][0] for part in parts]), x)
        assert torch.equal(torch.cat([part[step][1] for part in parts]), y)


def test_an_epoch_shows_every_image_once_with_its_label(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = streamed(folder)
    orders = []
    for epoch in (0, 1):
        names = seen(monkeypatch)
        labels = torch.cat([y for _, y in data.training(6, seed=0, augment=False).epoch(epoch)])
        assert Counter(Counter(names).values()) == {1: 24}
        assert labels.bincount().tolist() == [8, 8, 8]
        monkeypatch.undo()
        orders.append(names)
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])


def test_images_come_with_their_own_labels(folder: Path) -> None:
    """Each image of the shuffled epoch is the image of that label in the split's own order."""
    data = streamed(folder)
    plain = next(data.evaluation(data.train, 24).epoch(0))
    known = {bytes(x.numpy().tobytes()): int(y) for x, y in zip(*plain, strict=True)}
    assert len(known) == 24
    for x, y in data.training(8, seed=5, augment=False).epoch(0):
        assert [known[image.numpy().tobytes()] for image in x] == y.tolist()
    assert plain[1].tolist() == data.train.labels.tolist()


def test_crops_depend_on_seed_epoch_and_position_alone(folder: Path) -> None:
    data = streamed(folder)
    (first,) = data.training(24, seed=0).epoch(0)  # augmented unless told otherwise
    assert same(data.training(24, seed=0, augment=True).epoch(0), [first])
    for other in ({"seed": 1}, {"epoch": 1}, {"augment": False}):
        options = {"seed": 0, "augment": True, "epoch": 0, **other}
        (batch,) = data.training(24, seed=options["seed"], augment=bool(options["augment"])).epoch(
            options["epoch"]
        )
        assert not torch.equal(batch[0], first[0])
    # Batches of another size are cut out of the same epoch.
    halves = list(data.training(12, seed=0, augment=True).epoch(0))
    assert torch.equal(torch.cat([x for x, _ in halves]), first[0])


@pytest.mark.parametrize("channels_last", [True, False])
def test_values_are_normalised(folder: Path, channels_last: bool) -> None:
    data = streamed(folder)
    ((x, _),) = data.evaluation(data.test, 9, channels_last=channels_last).epoch(0)
    pixels = torch.from_numpy(data.examples(list(range(9)))).permute(0, 3, 1, 2).double() / 255
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (data.mean, data.std))
    assert torch.allclose(x.double(), (pixels - mean) / std, atol=1e-5)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    assert x.is_contiguous(memory_format=layout)


def test_a_split_smaller_than_a_batch_is_one_batch(folder: Path) -> None:
    batches = streamed(folder, validation=0.25).training(100, seed=0, augment=True)
    assert [len(y) for _, y in batches.epoch(0)] == [18]
    assert (len(batches), batches.size(0)) == (1, 18)


def test_half_an_epoch_can_be_left_and_begun_again(folder: Path) -> None:
    batches = streamed(folder, workers=2).training(5, seed=0, augment=True)
    whole = list(batches.epoch(0))
    for _ in range(2):
        assert same(islice(batches.epoch(0), 2), whole[:2])
    assert same(batches.epoch(0), whole)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"batch_size": 0}, "batch_size must be an integer of at least 1, got 0"),
        ({"seed": -1}, "seed must be"),
        ({"share": Share(0, 3), "batch_size": 2}, "a batch of 2 examples cannot be shared by 3"),
    ],
)
def test_what_cannot_be_is_refused(folder: Path, options: dict[str, object], said: str) -> None:
    data = streamed(folder)
    with pytest.raises(ArgumentError, match=said):
        data.training(**{"batch_size": 4, "seed": 0, "augment": True, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize(("epoch", "start"), [(-1, 0), (0, -1), (0, 5)])
def test_batches_that_are_none_are_refused(folder: Path, epoch: int, start: int) -> None:
    with pytest.raises(ArgumentError, match="an epoch has 4 batches"):
        streamed(folder).training(5, seed=0, augment=True).epoch(epoch, start)


SAMPLE = REAL / "imagenet-sample.tar"


@pytest.mark.skipif(not SAMPLE.is_file(), reason=f"there is no {SAMPLE}: set TOMBOLA_DATA")
def test_real_images_of_imagenet(tmp_path: Path) -> None:
    """Resumed mid-epoch, with other workers, at full size; by the name, for it has all the classes."""
    with tarfile.open(SAMPLE) as archive:
        archive.extractall(tmp_path, filter="data")
    (tmp_path / "train").symlink_to(tmp_path / "val")
    data = streamed_imagenet(tmp_path, workers=2)
    assert (len(data.train), data.classes, data.class_names[1]) == (1000, 1000, "n01443537")
    batches = data.training(100, seed=0, augment=True)
    whole = list(islice(batches.epoch(0), 4))
    assert whole[0][0].shape == (100, 3, 224, 224)
    later = streamed_imagenet(tmp_path, workers=0).training(100, seed=0, augment=True)
    assert same(islice(later.epoch(0, start=2), 2), whole[2:])


def streamed_imagenet(folder: Path, workers: int) -> StreamedDataset:
    from tombola.data import load

    data = load("imagenet", data_dir=folder, validation=0.0, workers=workers)
    assert isinstance(data, StreamedDataset)
    return data
