"""Named configurations: the settings of the papers."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from commands import TINY, refusal, tombola
from tombola.data.names import NAMES
from tombola.errors import ArgumentError
from tombola.experiments.config import RunConfig
from tombola.experiments.repeat import PRESETS, read_config
from tombola.experiments.search_config import SearchConfig
from tombola.experiments.train_config import TrainConfig
from tombola.models.registry import MODELS

KINDS: tuple[type[RunConfig], ...] = (SearchConfig, TrainConfig)
EVERY = [(kind, path.stem) for kind in KINDS for path in sorted((PRESETS / kind.command).glob("*.toml"))]


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_every_preset_is_a_run(kind: type[RunConfig], name: str) -> None:
    config = read_config(kind, Path(name))
    config.check()
    assert name == f"{config.data}-{config.model}"
    assert config.data in NAMES
    assert config.model in MODELS
    assert (config.batch_size, config.momentum, config.width, config.augment) == (128, 0.9, 1.0, True)


def test_every_network_is_there_for_both_commands() -> None:
    names = {"imagenet-resnet18", "imagenet-resnet34", "imagenet-resnet50", "imagenet-resnet101"}
    names |= {"cifar10-conv6", "cifar10-resnet18", "cifar10-resnet34"}
    assert {name for kind, name in EVERY if kind is SearchConfig} == names
    assert {name for kind, name in EVERY if kind is TrainConfig} == names


@pytest.mark.parametrize("depth", [18, 34, 50, 101])
def test_imagenet_as_in_the_paper(depth: int) -> None:
    config = read_config(SearchConfig, Path(f"imagenet-resnet{depth}"))
    assert (config.epochs, config.warmup, config.lr, config.weight_decay) == (105, 5, 0.1, 1e-4)
    assert (config.method, config.density, config.period, config.rate) == ("iterand", 0.3, 1000, 0.1)
    assert (config.score_init, config.image_size) == ("kaiming_uniform", 224)


@pytest.mark.parametrize(
    ("model", "lr", "dense_lr", "weight_decay", "density"),
    [("conv6", 0.3, 0.01, 1e-4, 0.5), ("resnet18", 0.1, 0.1, 5e-4, 0.4), ("resnet34", 0.1, 0.1, 5e-4, 0.4)],
)
def test_cifar10_as_in_the_paper(
    model: str, lr: float, dense_lr: float, weight_decay: float, density: float
) -> None:
    search = read_config(SearchConfig, Path(f"cifar10-{model}"))
    assert (search.epochs, search.lr, search.weight_decay) == (100, lr, weight_decay)
    assert (search.density, search.period, search.rate) == (density, 300, 0.1)
    train = read_config(TrainConfig, Path(f"cifar10-{model}"))
    assert (train.epochs, train.lr, train.weight_decay, train.method) == (
        100,
        dense_lr,
        weight_decay,
        "dense",
    )


def test_an_unknown_name_lists_them() -> None:
    line = refusal("search", "--config", "imagenet-resnet5")
    assert line.startswith("unknown configuration 'imagenet-resnet5': did you mean 'imagenet-resnet50'?")
    for _, name in EVERY:
        assert name in line


def test_a_file_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cifar10-conv6").write_text("seed = 5\n")
    assert read_config(SearchConfig, Path("cifar10-conv6")) == SearchConfig(seed=5)
    with pytest.raises(ArgumentError, match="unknown configuration 'nothing'"):
        read_config(SearchConfig, Path("nothing"))


def test_options_given_count_more(tmp_path: Path) -> None:
    options = ["--config", "cifar10-conv6", *TINY, "--data", "digits"]
    assert tombola("search", *options, "--out", tmp_path / "run").status == 0
    recorded = tomllib.loads((tmp_path / "run" / "config.toml").read_text())
    assert (recorded["period"], recorded["epochs"], recorded["score_init"]) == (300, 2, "kaiming_uniform")
