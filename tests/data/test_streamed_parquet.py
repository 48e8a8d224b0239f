"""Parquet files read row group by row group, here and through `datasets`. No test uses a network."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_helpers import table
from streaming_helpers import parquet_files, same, streamed, write_shard

from photos import sized
from tombola.data import load
from tombola.data.locate import Known
from tombola.data.streaming import hub, parquet, shards
from tombola.data.streaming.hub import open_repository
from tombola.data.streaming.parquet import ParquetImages, open_parquet
from tombola.data.streaming.shards import Shard
from tombola.errors import DataError


@pytest.fixture
def images(tmp_path: Path) -> ParquetImages:
    """40 rows in 10 row groups of 4, cells that say their number."""
    for first in (0, 24):
        rows = range(first, 24 if first == 0 else 40)
        write_shard(tmp_path / f"{first}.parquet", [b"%d" % row for row in rows], [0] * len(rows), groups=4)
    return ParquetImages([Shard.open(str(tmp_path / name)) for name in ("0.parquet", "24.parquet")])


def groups_read(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    read: list[tuple[str, int]] = []
    real = Shard.group

    def spy(shard: Shard, number: int) -> Any:
        read.append((Path(shard.name).name, number))
        return real(shard, number)

    monkeypatch.setattr(Shard, "group", spy)
    return read


@pytest.mark.parametrize("rows", [range(40), [39, 0, 17, 17, 3], [], range(39, -1, -1)])
def test_cells_are_those_of_the_rows(
    images: ParquetImages, rows: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = groups_read(monkeypatch)
    cells = list(images.cells(np.array(list(rows), dtype=np.int64)))
    assert [int(cell.data or b"") for cell in cells] == list(rows)
    assert set(Counter(read).values()) <= {1}
    assert len(read) == len({row // 4 for row in rows})


def test_row_groups_are_read_only_a_few_ahead(images: ParquetImages, monkeypatch: pytest.MonkeyPatch) -> None:
    read = groups_read(monkeypatch)
    next(images.cells(np.arange(40)))
    assert len(read) <= 1 + parquet._AHEAD


@pytest.mark.parametrize("window", [4, 16, 1000])
def test_the_order_stays_within_a_window_of_shuffled_groups(
    images: ParquetImages, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "WINDOW", window)
    rows = np.flatnonzero(np.arange(40) % 5)  # as when a part is held out
    order = images.shuffled(rows, seed=0, epoch=3)
    assert sorted(order.tolist()) == rows.tolist()
    assert not np.array_equal(order, images.shuffled(rows, seed=0, epoch=4))
    assert not np.array_equal(order, images.shuffled(rows, seed=1, epoch=3))
    turn = list(dict.fromkeys((images.shuffled(rows, seed=0, epoch=3) // 4).tolist()))
    monkeypatch.setattr(parquet, "WINDOW", 0)
    unmoved = images.shuffled(rows, seed=0, epoch=3)
    places = {row: place for place, row in enumerate(unmoved.tolist())}
    # No row comes earlier or later than the window lets it.
    assert all(abs(places[row] - place) < window for place, row in enumerate(order.tolist()))
    firsts = list(dict.fromkeys((unmoved // 4).tolist()))
    assert len(turn) == len(firsts) == 10
    assert firsts != sorted(firsts)


def test_null_images_are_named_by_their_row(tmp_path: Path) -> None:
    folder = parquet_files(tmp_path / "set")
    path = folder / "train-00001-of-00002.parquet"
    write_shard(path, [*(sized(n) for n in range(11)), None], [n % 3 for n in range(12)])
    data = streamed(folder)
    with pytest.raises(DataError, match=f"^{path} row 11: no image bytes .null.$"):
        list(data.training(4, seed=0, augment=True).epoch(0))


def test_damaged_images_are_named_by_their_row(tmp_path: Path) -> None:
    folder = parquet_files(tmp_path / "set")
    path = folder / "validation-00000-of-00001.parquet"
    write_shard(path, [sized(0), sized(1), b"no image"], [0, 1, 2])
    data = streamed(folder, workers=1)
    with pytest.raises(DataError, match=f"^{path} row 2: cannot decode the image"):
        list(data.evaluation(data.test, 1).epoch(0))


def plain_binary(folder: Path) -> None:
    for path in folder.iterdir():
        made = pq.read_table(path)
        cells = made.column("image").combine_chunks().field("bytes").to_pylist()
        pq.write_table(table(cells, made.column("label").to_pylist(), image="img", plain=True), path)


def test_plain_binary_columns_are_images_too(tmp_path: Path) -> None:
    folder = parquet_files(tmp_path / "set")
    expected = list(streamed(folder).training(4, seed=0, augment=True).epoch(0))
    plain_binary(folder)
    found = streamed(folder)
    # Row groups are others, and so is the order; the images are the same.
    assert same(
        found.evaluation(found.test, 4).epoch(0), list(streamed(folder).evaluation(found.test, 4).epoch(0))
    )
    assert len(list(found.training(4, seed=0, augment=True).epoch(0))) == len(expected)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (table([b"x"], [0], image="picture"), "no image column, expected img or image"),
        (table([b"x"], ["a"]), "column label: expected integers, got string"),
        (table([b"x"], [3]), "row 0: label 3, expected 0 … 2 for 3 classes"),
        (table([], pa.array([], pa.int64())), "no rows in this split"),
        (table([b"x"], [0], names=["a"]), "other class names"),
        (pa.table({"img": [1], "label": [0]}), "expected a struct of bytes and path, or binary, got int64"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, made: pa.Table, said: str) -> None:
    write_shard(tmp_path / "train.parquet", [b"x"] * 3, [0, 1, 2], names=["u", "v", "w"])
    pq.write_table(made, tmp_path / "test.parquet")
    with pytest.raises(DataError, match=said):
        open_parquet([tmp_path / "train.parquet"], [tmp_path / "test.parquet"])


def test_a_file_that_is_not_parquet(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match=f"^{path}: cannot read it as parquet"):
        Shard.open(str(path))


def test_names_of_another_number_are_refused(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.parquet", [b"x"], [0], names=["u", "v"])
    files = [tmp_path / "a.parquet"]
    assert open_parquet(files, files)[2] == ("u", "v")
    with pytest.raises(DataError, match="names 2 classes, expected 3"):
        open_parquet(files, files, names=("0", "1", "2"))


class Connection:
    """Opens files, but breaks the first `times`."""

    def __init__(self, times: int) -> None:
        self.left = times

    def __call__(self, name: str) -> IO[bytes]:
        if self.left:
            self.left -= 1
            raise TimeoutError("connection reset\nby peer")
        return io.BytesIO(Path(name).read_bytes())


def test_a_broken_connection_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("tombola.data.streaming.shards.time.sleep", slept.append)
    path = tmp_path / "train.parquet"
    write_shard(path, [b"x"], [0])
    shard = Shard.open(str(path), Connection(len(shards.PAUSES)))
    assert shard.group(0).to_pylist() == [b"x"]
    assert slept == list(shards.PAUSES)
    with pytest.raises(DataError, match=f"^{path}: cannot read it as parquet .connection reset by peer.$"):
        Shard.open(str(path), Connection(len(shards.PAUSES) + 1))


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone in the place of the hub's: `datasets` finds files in both in the same way."""
    pytest.importorskip("datasets")
    monkeypatch.delenv("TOMBOLA_DATA", raising=False)
    monkeypatch.setattr("tombola.data.hub.reachable", lambda *_: True)
    folder = parquet_files(tmp_path / "clone" / "data").parent
    small = Known(str(folder), ("0", "1", "2"), test="validation", streamed=True)
    monkeypatch.setattr("tombola.data.locate.KNOWN", {"imagenet": small})
    return folder


def test_a_repository_is_streamed_as_its_files_are(repository: Path) -> None:
    data = load("imagenet", validation=0.25, image_size=16, workers=0)
    local = load("imagenet", data_dir=repository, validation=0.25, image_size=16, workers=0)
    assert data.fingerprint() == local.fingerprint()
    whole = list(local.training(4, seed=0, augment=True).epoch(1))
    assert same(data.training(4, seed=0, augment=True).epoch(1, start=2), whole[2:])


def test_a_repository_without_such_files(repository: Path) -> None:
    with pytest.raises(DataError, match="no parquet files of a split test, found train, validation"):
        open_repository(str(repository), "test")
    with pytest.raises(DataError, match="expected 4"):
        write_shard(repository / "data" / "train-00000-of-00002.parquet", [b""], [0], names=["u", "v"])
        open_repository(str(repository), "validation", ("a", "b", "c", "d"))


def test_a_repository_out_of_reach(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def fail(*_: object) -> None:
        raise ConnectionError("many\nlines")

    monkeypatch.setattr(datasets, "load_dataset_builder", fail)
    with pytest.raises(DataError, match=r"imagenet not found: .*TOMBOLA_DATA \(not set\).*\(out of reach\)"):
        load("imagenet")
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(DataError, match=r"needs a package: pip install 'tombola\[vision\]'"):
        load("imagenet")
    assert hub.open_anywhere(str(repository / "data" / "train-00000-of-00002.parquet")).read(4) == b"PAR1"
