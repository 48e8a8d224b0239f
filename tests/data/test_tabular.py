"""Tables: rows as images of one pixel, each feature normalised by itself; tickets are found in them too."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
import torch
from PIL import Image

from commands import refusal, tombola
from tombola.data import Split, load
from tombola.data.batches import Batches
from tombola.data.names import TABLES
from tombola.errors import ArgumentError, TombolaError


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_row_is_in_one_split(name: str) -> None:
    bunch = getattr(sklearn.datasets, TABLES[name])()
    data = load(name, seed=5, validation=0.2)
    assert (data.classes, data.in_channels, data.image_size) == (
        len(bunch.target_names),
        bunch.data.shape[1],
        1,
    )
    assert data.augmentation is None
    splits = (data.train, data.validation, data.test)
    rows = np.concatenate([split.images.numpy().reshape(len(split), -1) for split in splits])
    assert sorted(map(tuple, rows.tolist())) == sorted(map(tuple, bunch.data.astype(np.float32).tolist()))
    labels = torch.cat([split.labels for split in splits])
    assert labels.bincount().tolist() == np.bincount(bunch.target).tolist()
    assert torch.equal(load(name, seed=6).test.images, data.test.images)


def test_features_are_normalised_by_those_of_training() -> None:
    data = load("wine")
    rows = data.train.images.numpy().reshape(len(data.train), -1).astype(np.float64)
    assert np.allclose(data.mean, rows.mean(0))
    assert np.allclose(data.std, rows.std(0))
    (x, y), *_ = Batches(data.train, 1000, mean=data.mean, std=data.std).epoch(0)
    assert x.shape == (len(data.train), 13, 1, 1)
    assert np.allclose(x.numpy().reshape(len(x), -1), (rows - rows.mean(0)) / rows.std(0), atol=1e-4)
    assert torch.equal(y, data.train.labels)


def test_a_search_a_ticket_and_a_picture(tmp_path: Path) -> None:
    options = ["--data", "iris", "--model", "mlp", "--width", "0.1", "--batch-size", "16", "--epochs", "2"]
    assert tombola("search", *options, "--out", tmp_path / "run").status == 0
    assert tombola("evaluate", tmp_path / "run" / "ticket.tombola").status == 0
    assert tombola("report", tmp_path / "run", "--png", tmp_path / "p.png").status == 0
    with Image.open(tmp_path / "p.png") as image:
        assert image.size[0] >= 1000


def test_a_model_for_images_is_refused(tmp_path: Path) -> None:
    for model, least in (("conv2", 2), ("resnet18", 8)):
        complaint = refusal("search", "--data", "iris", "--model", model, "--out", tmp_path / "run")
        assert f"image_size must be at least {least}, got 1" in complaint


def test_bad_tables() -> None:
    with pytest.raises(ArgumentError, match="wine comes with scikit-learn and reads no folder"):
        load("wine", data_dir=".")
    labels = torch.zeros(2, dtype=torch.int64)
    for bad in (torch.zeros(2, 1, 2, 3), torch.zeros(2, 3), torch.zeros(2, 1, 1, 3, dtype=torch.float64)):
        with pytest.raises(ArgumentError, match=r"rows of a table float32 of shape \(N, 1, 1, F\), got"):
            Split(bad, labels)
    with pytest.raises(ArgumentError, match="a table's features must be finite"):
        Split(torch.full((2, 1, 1, 3), torch.nan), labels)


def test_tables_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(TombolaError, match=r"the data set iris needs packages .*'tombola\[torch\]'"):
        load("iris")
