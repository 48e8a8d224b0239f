"""load: names, where they are looked for, and what is said when they are nowhere. No test uses a network."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pyarrow as pa
import pytest
import torch
from data_helpers import REAL, images_table, noise, small_folder, table, write

import tombola.data
from tombola.data import hub, load
from tombola.data.locate import KNOWN
from tombola.data.table import Part
from tombola.errors import ArgumentError, DataError, TombolaError


class NetworkTouchedError(AssertionError):
    """What was given a folder asked the hub."""


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def touched(*_args: Any, **_kwargs: Any) -> None:
        raise NetworkTouchedError

    monkeypatch.delenv("TOMBOLA_DATA", raising=False)
    monkeypatch.setattr("tombola.data.locate.fetch", touched)


def hundred(folder: Path, **options: Any) -> Path:
    """A folder with labels 0 … 99, as CIFAR-100 has them."""
    made = images_table(noise(100), list(range(100)), label="fine_label", **options)
    return write(folder, train=made, test=made)


def test_a_named_set_in_the_folder_or_below_it(tmp_path: Path) -> None:
    folder = small_folder(tmp_path / "cifar10")
    direct, parent = load("cifar10", data_dir=folder), load("cifar10", data_dir=str(tmp_path))
    assert direct.name == parent.name == "cifar10"
    assert torch.equal(direct.train.images, parent.train.images)
    assert direct.class_names == KNOWN["cifar10"].class_names
    assert direct.classes == 10


@pytest.mark.parametrize("place", ["cifar10/plain_text", "cifar10/data", "cifar10/cifar10", "plain_text"])
def test_a_clone_of_the_hubs_repository(tmp_path: Path, place: str) -> None:
    small_folder(tmp_path / place)
    assert len(load("cifar10", data_dir=tmp_path).test) == 6


def test_below_goes_before_beside(tmp_path: Path) -> None:
    hundred(tmp_path)
    small_folder(tmp_path / "cifar10")
    assert len(load("cifar10", data_dir=tmp_path).test) == 6


def test_the_environment_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hundred(tmp_path / "cifar100")
    monkeypatch.setenv("TOMBOLA_DATA", str(tmp_path))
    dataset = load("cifar100", validation=0)
    assert dataset.classes == 100
    assert dataset.class_names[99] == "99"


def test_a_given_folder_is_the_only_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_folder(tmp_path / "full" / "cifar10")
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("TOMBOLA_DATA", str(tmp_path / "full"))
    with pytest.raises(DataError, match=r"no cifar10 in the given folder .*empty: expected train\.parquet"):
        load("cifar10", data_dir=tmp_path / "empty")


def test_the_same_draw_wherever_it_comes_from(tmp_path: Path) -> None:
    first, second = (
        load("cifar10", data_dir=small_folder(tmp_path / place), seed=4).validation for place in ("a", "b")
    )
    assert torch.equal(first.images, second.images)


@pytest.mark.parametrize("name", ["digits", "cifar10", "cifar100"])
def test_a_folder_of_a_known_name_is_not_taken_for_the_known_set(tmp_path: Path, name: str) -> None:
    assert load(small_folder(tmp_path / name)).name == f"folder:{name}"


def test_cifar10_is_not_taken_for_cifar100(tmp_path: Path) -> None:
    small_folder(tmp_path)
    with pytest.raises(DataError, match="labels end at 1: this looks like cifar10, not cifar100"):
        load("cifar100", data_dir=tmp_path)


def test_cifar100_is_not_taken_for_cifar10(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="label 10, expected 0 … 9 for 10 classes"):
        load("cifar10", data_dir=hundred(tmp_path / "plain"))
    with pytest.raises(DataError, match="names 100 classes, expected 10"):
        load("cifar10", data_dir=hundred(tmp_path / "named", names=[f"c{i}" for i in range(100)]))


def test_nowhere_to_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr("tombola.data.locate.fetch", hub.fetch)
    monkeypatch.setattr("tombola.data.hub.reachable", lambda *_: False)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)  # not the developer's own
    monkeypatch.setenv("TOMBOLA_DATA", str(tmp_path))
    before = datasets.config.HF_HUB_OFFLINE
    with pytest.raises(DataError) as caught:
        load("cifar10")
    message = str(caught.value)
    for part in (
        "data_dir (not given)",
        f"TOMBOLA_DATA ({tmp_path})",
        "uoft-cs/cifar10",
        "out of reach",
        "--data-dir",
    ):
        assert part in message
    assert "\n" not in message
    assert before == datasets.config.HF_HUB_OFFLINE


def test_nowhere_and_the_package_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tombola.data.locate.fetch", hub.fetch)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"TOMBOLA_DATA \(not set\).*cifar100 \(needs .*'tombola\[vision\]'"):
        load("cifar100")


def test_whatever_the_hub_raises_is_one_short_line(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")

    def fail(*_args: Any) -> None:
        raise KeyError("many\nlines " * 100)

    monkeypatch.setattr("tombola.data.hub.reachable", lambda *_: True)
    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(DataError) as caught:
        hub.fetch("uoft-cs/cifar10")
    assert len(str(caught.value)) <= 160
    assert "\n" not in str(caught.value)


def test_what_the_hub_delivers(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    names = [f"class {i}" for i in range(10)]
    tables = {"train": images_table(noise(20), names=names), "test": images_table(noise(6), names=names)}
    delivered = datasets.DatasetDict({name: datasets.Dataset(made) for name, made in tables.items()})
    monkeypatch.setattr("tombola.data.locate.fetch", hub.fetch)
    monkeypatch.setattr("tombola.data.hub.reachable", lambda *_: True)
    monkeypatch.setattr(datasets, "load_dataset", lambda _: delivered)
    dataset = load("cifar10", validation=0)
    assert dataset.class_names == tuple(names)
    assert torch.equal(dataset.train.images, torch.from_numpy(noise(20)))
    assert dataset.test.labels.tolist() == [0, 1, 0, 1, 0, 1]


@pytest.fixture
def server() -> Iterator[str]:
    """A server that refuses every request (501), as a URL."""
    made = HTTPServer(
        ("127.0.0.1", 0), type("Refuse", (BaseHTTPRequestHandler,), {"log_message": lambda *_: None})
    )
    Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    made.server_close()


def test_reachable(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    assert hub.reachable(server)
    assert not hub.reachable("http://127.0.0.1:1")
    assert not hub.reachable("no address")


def test_a_silent_hub_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    given_up = Event()

    def silent(*_args: Any, **_options: Any) -> None:
        given_up.wait(60)
        raise TimeoutError

    monkeypatch.setattr("urllib.request.urlopen", silent)
    assert not hub.reachable("http://127.0.0.1:1", patience=0.05)
    assert not given_up.is_set()
    given_up.set()


@pytest.mark.parametrize("name", ["cifar1", "Digits", "", "imagenett", "c" * 300])
def test_an_unknown_name(name: str) -> None:
    told = f"{name!r:.80}"  # which a line has room for
    with pytest.raises(ArgumentError, match=f"unknown data set {told}:.* Known: digits, cifar10, cifar100"):
        load(name)


def test_a_name_goes_before_a_folder_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_folder(tmp_path / "digits")
    monkeypatch.chdir(tmp_path)
    assert load("digits").image_size == 8
    assert load("./digits").image_size == 4


@pytest.mark.parametrize("options", [{"seed": -1}, {"validation": 1.0}, {"validation": -0.5}])
def test_bad_numbers_are_refused_before_anything_is_read(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        load(tmp_path / "absent", **options)


def test_without_the_vision_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(tombola.data, "locate", raising=False)
    monkeypatch.setitem(sys.modules, "tombola.data.locate", None)
    with pytest.raises(TombolaError, match=r"pip install 'tombola\[vision\]'"):
        load(tmp_path)


def test_parts_are_checked_in_the_order_of_the_files() -> None:
    # Empty files of a split count for nothing, not even for its shape.
    from tombola.data.table import join, read_table

    empty = read_table(table([], pa.array([], pa.int64())), "empty")
    full = read_table(images_table(noise(4)), "full")
    train, test, names = join([empty, full], [full])
    assert (len(train.labels), len(test.labels), names) == (4, 4, ("0", "1"))
    assert isinstance(empty, Part)


@pytest.mark.skipif(not (REAL / "cifar10").is_dir(), reason=f"no cifar10 in {REAL}: set TOMBOLA_DATA")
def test_the_real_cifar10() -> None:
    dataset = load("cifar10", data_dir=REAL)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (45000, 5000, 10000)
    assert (dataset.in_channels, dataset.image_size, dataset.classes) == (3, 32, 10)
    assert dataset.validation.labels.bincount().tolist() == [500] * 10
    assert dataset.test.labels.bincount().tolist() == [1000] * 10
    # The figures everyone uses for CIFAR-10.
    assert dataset.mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=0.003)
    assert dataset.std == pytest.approx((0.2470, 0.2435, 0.2616), abs=0.003)


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout


def test_importing_is_lazy() -> None:
    code = """
import sys, tombola.data
heavy = {"torch", "sklearn", "pyarrow", "PIL", "datasets"}
print(sorted(heavy & set(sys.modules)), "load" in dir(tombola.data))
from tombola.data import load
load("digits")
print(sorted({"PIL", "datasets", "tombola.data.parquet"} & set(sys.modules)))
"""
    assert run(code).splitlines() == ["[] True", "[]"]


def test_exported_names() -> None:
    names = ["Augmentation", "Batches", "Dataset", "Split", "StreamedDataset", "crop_and_flip"]
    names += ["hold_out", "load"]
    assert tombola.data.__all__ == names
    assert all(hasattr(tombola.data, name) for name in names)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        tombola.data.nothing  # noqa: B018
