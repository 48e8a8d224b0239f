"""What a run leaves behind, and that it is a function of the configuration and the seed."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

import tombola as library
from commands import (
    TINY,
    copy_of_finished,
    everything_in,
    finished,
    image_folder,
    metrics_of,
    refusal,
    result_of,
    ticket_of,
    tombola,
)
from tombola.experiments import run as run_module
from tombola.experiments.search_config import SearchConfig

FILES = {"config.toml", "metrics.jsonl", "result.json", "examples.npz", ".lock"}
CHECKPOINTS = {"checkpoint/latest.pt", "checkpoint/previous.pt"}


def test_the_files_of_a_search() -> None:
    files = set(everything_in(finished())) | {".lock"}
    assert files == FILES | CHECKPOINTS | {"ticket.tombola", "layers.json"}


def test_the_files_of_dense_training() -> None:
    files = set(everything_in(finished("train"))) | {".lock"}
    assert files == FILES | CHECKPOINTS | {"model.safetensors"}


def test_the_result_of_a_search() -> None:
    result, ticket = result_of(finished()), ticket_of(finished())
    assert 0 < result["test_accuracy"] < 1
    assert 0 < result["validation_accuracy"] < 1
    assert result["test_accuracy"] * 359 == pytest.approx(round(result["test_accuracy"] * 359))
    assert result["density"] == ticket.density == 0.5
    assert result["weights"] == ticket.mask.total == 26 * 64 + 26 * 26 + 10 * 26
    assert result["ticket_bytes"] == ticket.nbytes == (finished() / "ticket.tombola").stat().st_size
    assert result["bits_per_weight"] == ticket.bits_per_weight
    assert result["digest"] == ticket.digest
    assert result["seconds"] > 0
    assert result["seed"] == ticket.seed == 0
    assert (result["method"], result["data"], result["model"]) == ("iterand", "digits", "mlp")


def test_the_result_of_dense_training() -> None:
    result = result_of(finished("train"))
    for key in ("test_accuracy", "validation_accuracy", "seconds", "seed", "bits_per_weight"):
        assert result[key] is not None
    assert (result["method"], result["density"], result["ticket_bytes"]) == ("dense", 1.0, None)
    assert result["model_bytes"] == (finished("train") / "model.safetensors").stat().st_size


def test_that_a_precision_is_emulated_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "emulation", lambda _: "slow")
    ended = tombola("search", *TINY, "--epochs", "1", "--out", tmp_path / "run")
    assert ended.err.startswith("tombola: warning: slow\n")
    assert ended.err.count("slow") == 1


def test_one_row_of_metrics_an_epoch() -> None:
    lines = (finished() / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["epoch"] for row in rows] == [1, 2]
    for row in rows:
        assert 0 < row["loss"] < 10
        assert 0 <= row["train_accuracy"] <= 1
        assert 0 <= row["validation_accuracy"] <= 1
        assert row["examples_per_second"] > 0
    assert rows[0]["seconds"] < rows[1]["seconds"] <= result_of(finished())["seconds"]
    assert rows[0]["loss"] > rows[1]["loss"]
    best = rows[result_of(finished())["best_epoch"] - 1]
    assert best["validation_accuracy"] == result_of(finished())["validation_accuracy"]
    assert best["validation_accuracy"] == max(row["validation_accuracy"] for row in rows)


def test_the_examples_are_test_images_with_the_networks_answers() -> None:
    digits = library.data.load("digits")
    with np.load(finished() / "examples.npz", allow_pickle=False) as examples:
        assert examples["images"].shape == (24, 8, 8, 1)
        assert examples["class_names"].tolist() == list("0123456789")
        assert examples["answers"].shape == examples["labels"].shape == (24,)
        for image, label in zip(examples["images"], examples["labels"], strict=True):
            (where,) = np.flatnonzero((digits.test.images.numpy() == image).all(axis=(1, 2, 3)))
            assert digits.test.labels[where] == label


def test_the_same_configuration_gives_the_same_bytes(tmp_path: Path) -> None:
    assert tombola("search", *TINY, "--out", tmp_path / "elsewhere").status == 0
    for name in ("ticket.tombola", "config.toml", "examples.npz", "layers.json"):
        assert (tmp_path / "elsewhere" / name).read_bytes() == (finished() / name).read_bytes()
    assert metrics_of(tmp_path / "elsewhere") == metrics_of(finished())


def test_another_seed_gives_another_ticket() -> None:
    first, other = ticket_of(finished()), ticket_of(finished("search", "--seed", "1"))
    assert other.seed == 1
    assert first.digest != other.digest
    assert any((first.mask[name] != other.mask[name]).any() for name in first.mask)


def test_another_method_gives_another_ticket() -> None:
    """Twenty steps an epoch, so that a period of 7 redraws five times."""
    iterand = ticket_of(finished("search", "--period", "7", "--rate", "0.5"))
    popup = ticket_of(finished("search", "--method", "edge-popup"))
    assert any(generations.any() for generations in iterand.redraws.values())
    assert not any(generations.any() for generations in popup.redraws.values())


def test_a_ticket_names_no_place_and_no_time(tmp_path: Path) -> None:
    metadata = ticket_of(finished()).metadata
    text = json.dumps(metadata)
    assert str(finished()) not in text
    assert "/" not in text
    assert not {"out", "resume", "data_dir", "seconds", "date", "time"} & set(metadata)
    assert not {"out", "resume", "data_dir"} & set(json.loads(metadata["settings"]))
    assert json.loads(metadata["settings"])["lr"] == 0.1
    assert metadata["test_accuracy"] == json.dumps(result_of(finished())["test_accuracy"])
    assert metadata["dataset"] == "digits"


OPTIONS = ("--period", "None", "--no-augment", "--score-init", "kaiming_uniform", "--seed", "7")


@pytest.mark.parametrize("options", [(), OPTIONS])
def test_the_configuration_reruns_the_run(tmp_path: Path, options: tuple[str, ...]) -> None:
    first = finished("search", *options)
    ended = tombola("search", "--config", first / "config.toml", "--out", tmp_path / "again")
    assert ended.status == 0
    for name in ("ticket.tombola", "config.toml"):
        assert (tmp_path / "again" / name).read_bytes() == (first / name).read_bytes()


def test_the_configuration_reruns_dense_training(tmp_path: Path) -> None:
    first = finished("train")
    assert tombola("train", "--config", first / "config.toml", "--out", tmp_path / "again").status == 0
    assert (tmp_path / "again/model.safetensors").read_bytes() == (first / "model.safetensors").read_bytes()


def test_options_beside_a_configuration_count_more(tmp_path: Path) -> None:
    options = ["--augment", "--period=9", "--seed", "2"]
    first = finished("search", *OPTIONS) / "config.toml"
    ended = tombola("search", *options, f"--config={first}", "--out", tmp_path / "run")
    assert ended.status == 0
    was, now = (tomllib.loads(path.read_text()) for path in (first, tmp_path / "run/config.toml"))
    assert {name: (was[name], now[name]) for name in now if was[name] != now[name]} == {
        "augment": (False, True),
        "period": ("none", 9),
        "seed": (7, 2),
    }


def test_the_configuration_is_complete_and_settled() -> None:
    """Nothing is left to the machine or the version that reads it."""
    values = tomllib.loads((finished() / "config.toml").read_text())
    assert set(values) == {"command", *SearchConfig().settings()}
    assert (values["command"], values["device"], values["precision"]) == ("search", "cpu", "float32")
    assert values["threads"] == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epochs = ", ["c.toml", "Invalid value"]),
        ("epoch = 3", ["option in c.toml", "'epoch'", "'epochs'"]),
        ("epochs = 'many'", ["'epochs' in c.toml", "a whole number", "'many'"]),
        ("epochs = true", ["'epochs' in c.toml", "a whole number", "True"]),
        ("augment = 'yes'", ["'augment' in c.toml", "true or false", "'yes'"]),
        ("threads = 1.5", ["'threads' in c.toml", "a whole number", "1.5"]),
        ("data_dir = 3", ["'data_dir' in c.toml", "a path", "3"]),
        ("scope = 'world'", ["'scope' in c.toml", "layer or global", "'world'"]),
        ("period = 1.5", ["'period' in c.toml must be a whole number or auto, got 1.5"]),
        ("method = 'random'", ["method 'random'"]),
        ("command = 'train'", ["c.toml is of tombola train, not of tombola search"]),
        ("seed = -1", ["seed", "[0, 2^64)", "-1"]),
    ],
)
def test_a_bad_configuration_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.toml").write_text(text)
    line = refusal("search", "--config", "c.toml", "--out", "run")
    for words in said:
        assert words in line
    assert not Path("run").exists()


def test_a_missing_configuration_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    line = refusal("search", "--config", path)
    assert line == f"cannot read the configuration {path}: No such file or directory"


def test_whole_numbers_in_a_configuration_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("lr = 1\nperiod = 'none'\ndata_dir = 'images'\n")
    config = SearchConfig.from_toml(path)
    assert (config.lr, config.period, config.data_dir) == (1.0, None, Path("images"))
    assert isinstance(config.lr, float)


def test_without_validation_the_last_epoch_is_taken() -> None:
    result = result_of(finished("search", "--validation", "0"))
    assert result["best_epoch"] == 2
    assert result["validation_accuracy"] is None
    rows = metrics_of(finished("search", "--validation", "0"))
    assert [(row["validation_accuracy"], row["validation_loss"]) for row in rows] == [(None, None)] * 2


def test_a_batch_that_is_greater_than_the_data(tmp_path: Path) -> None:
    assert tombola("search", *TINY, "--batch-size", "5000", "--out", tmp_path / "run").status == 0
    assert len(metrics_of(tmp_path / "run")) == 2


def test_a_folder_of_images_is_recorded_from_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the command was typed; the ticket has the folder's name alone."""
    image_folder(tmp_path / "images")
    monkeypatch.chdir(tmp_path)
    tiny = [*TINY, "--batch-size", "4"]
    assert tombola("search", *tiny, "--data", "images", "--out", "run").status == 0
    assert tomllib.loads(Path("run/config.toml").read_text())["data"] == str(tmp_path / "images")
    assert ticket_of(Path("run")).metadata["dataset"] == "images"
    assert str(tmp_path) not in json.dumps(ticket_of(Path("run")).metadata)
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert tombola("search", "--config", "../run/config.toml", "--out", "again").status == 0
    assert Path("again/ticket.tombola").read_bytes() == Path("../run/ticket.tombola").read_bytes()
    # Resumed with the folder named in another way, it is the same.
    assert tombola("search", *tiny, "--data", "../images", "--resume", "--out", "again").status == 0
    line = refusal("evaluate", "again/ticket.tombola")
    assert "a folder 'images': give it with --data" in line
    ended = tombola("evaluate", "again/ticket.tombola", "--data", "../images", "--json")
    assert json.loads(ended.out)["test_accuracy"] == result_of(Path("again"))["test_accuracy"]


def test_a_data_folder_is_recorded_from_the_root(tmp_path: Path) -> None:
    config = SearchConfig(data="cifar10", data_dir=Path("images"))
    (tmp_path / "c.toml").write_text(config.to_toml())
    assert SearchConfig.from_toml(tmp_path / "c.toml").data_dir == Path("images").absolute()


def test_a_run_that_is_not_resumed_does_not_touch_a_finished_one(tmp_path: Path) -> None:
    folder = copy_of_finished(tmp_path / "run")
    before = everything_in(folder)
    assert "holds another run" in refusal("search", "--config", folder / "config.toml", "--out", folder)
    assert everything_in(folder) == before


def test_the_default_search_keeps_redrawn_weights() -> None:
    """With a period longer than the run, IteRand would be edge-popup under another name."""
    config = SearchConfig()
    steps = config.epochs * (library.data.load("digits").train.labels.numel() // config.batch_size)
    assert config.method == "iterand"
    assert config.redraw_period is not None
    # Redraws early enough for the scores to select what they brought.
    assert steps // config.redraw_period >= 5


def test_redrawn_weights_are_kept(tmp_path: Path) -> None:
    options = ["--period", "5", "--rate", "0.5", "--out", str(tmp_path / "run")]
    assert tombola("search", *TINY, *options).status == 0
    generations = library.Ticket.load(tmp_path / "run" / "ticket.tombola").redraws
    assert max(int(values.max()) for values in generations.values()) >= 1


def test_the_default_search_reads_the_digits(tmp_path: Path) -> None:
    """Seed 0; `benchmarks/first_ticket.py` has five, and the mean."""
    assert tombola("search", "--threads", "1", "--out", tmp_path / "run").status == 0
    assert result_of(tmp_path / "run")["test_accuracy"] >= 0.95
