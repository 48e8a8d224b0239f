"""Bad input: exit status 2 and one line that names the thing, what was expected and what came."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands import (
    TINY,
    copy_of_finished,
    everything_in,
    finished,
    refusal,
    tombola,
    write_module,
)

# The options, and everything that the line must say.
UNKNOWN = {
    "model": (["--model", "mpl"], ["model 'mpl'", "'mlp'", "resnet18"]),
    "data": (["--data", "digit"], ["data set 'digit'", "'digits'", "cifar10"]),
    "method": (["--method", "itrand"], ["method 'itrand'", "'iterand'", "edge-popup"]),
    "init": (["--init", "kaiming"], ["init 'kaiming'", "'kaiming_", "signed_constant"]),
    "rule": (["--rule", "uniforn"], ["rule 'uniforn'", "'uniform'"]),
}
OUT_OF_RANGE = {
    "density 0": (["--density", "0"], ["density", "(0, 1]", "0.0"]),
    "density below 0": (["--density", "-0.5"], ["density", "(0, 1]", "-0.5"]),
    "density above 1": (["--density", "1.5"], ["density", "(0, 1]", "1.5"]),
    "density nan": (["--density", "nan"], ["density", "(0, 1]", "nan"]),
    "no weight kept": (["--density", "0.001"], ["fc3.weight", "0.001", "none of its 260 weights"]),
    "source density": (["--source-density", "0"], ["density", "(0, 1]", "0.0"]),
    "density above the source's": (
        ["--source-density", "0.4", "--density", "0.5"],
        ["density 0.5", "source's density 0.4"],
    ),
    "ticket rule": (["--ticket-rule", "erkk"], ["rule 'erkk'", "'erk'"]),
    "more than is alive": (
        ["--source-density", "0.5", "--rule", "balanced", "--ticket-rule", "uniform", "--density", "0.5"],
        ["layer", "weights, but only", "are alive"],
    ),
    "layers kept dense": (
        ["--source-density", "0.001", "--dense-first"],
        ["density 0.001", "kept dense", "by themselves"],
    ),
    "levels below 0": (["--anneal", "-1"], ["anneal", "at least 0", "-1"]),
    "annealing beyond the end": (
        ["--anneal", "3", "--anneal-epochs", "3"],
        ["anneal_epochs", "(0, 2]", "3.0"],
    ),
    "annealing for no time": (["--anneal", "3", "--anneal-epochs", "0"], ["anneal_epochs", "(0, 2]", "0.0"]),
    "annealing without levels": (["--anneal-epochs", "1"], ["anneal_epochs", "give anneal"]),
    "annealing upwards": (
        ["--anneal", "3", "--source-density", "0.3", "--density", "0.4"],
        ["annealing", "0.4", "0.3"],
    ),
    "rate below 0": (["--rate", "-0.1"], ["rate", "[0, 1]", "-0.1"]),
    "rate above 1": (["--rate", "1.01"], ["rate", "[0, 1]", "1.01"]),
    "rate nan": (["--rate", "nan"], ["rate", "[0, 1]", "nan"]),
    "period 0": (["--period", "0"], ["period", "at least 1", "0"]),
    "period below 0": (["--period", "-3"], ["period", "at least 1", "-3"]),
    "epochs": (["--epochs", "0"], ["epochs", "at least 1", "0"]),
    "batch size": (["--batch-size", "0"], ["batch_size", "at least 1", "0"]),
    "lr 0": (["--lr", "0"], ["lr", "greater than 0", "0.0"]),
    "lr nan": (["--lr", "nan"], ["lr", "greater than 0", "nan"]),
    "lr inf": (["--lr", "inf"], ["lr", "finite", "inf"]),
    "warmup": (["--warmup", "-1"], ["warmup", "at least 0", "-1.0"]),
    "warmup inf": (["--warmup", "inf"], ["warmup", "finite", "inf"]),
    "warmup beyond the end": (["--warmup", "3"], ["warmup", "at most epochs, 2", "3.0"]),
    "rate of edge-popup": (["--method", "edge-popup", "--rate", "7"], ["rate", "[0, 1]", "7"]),
    "momentum": (["--momentum", "-0.1"], ["momentum", "[0, 1)", "-0.1"]),
    "weight decay": (["--weight-decay", "-1"], ["weight_decay", "at least 0", "-1.0"]),
    "validation": (["--validation", "1"], ["held out", "[0, 1)", "1.0"]),
    "validation nan": (["--validation", "nan"], ["held out", "[0, 1)", "nan"]),
    "width 0": (["--width", "0"], ["width", "above 0", "0.0"]),
    "seed": (["--seed", "-1"], ["seed", "[0, 2^64)", "-1"]),
    "great seed": (["--seed", str(1 << 64)], ["seed", "[0, 2^64)", str(1 << 64)]),
    "threads": (["--threads", "0"], ["threads", "at least 1", "0"]),
}


@pytest.mark.parametrize("case", [*UNKNOWN, *OUT_OF_RANGE])
def test_options(case: str, tmp_path: Path) -> None:
    options, said = {**UNKNOWN, **OUT_OF_RANGE}[case]
    line = refusal("search", *TINY, *options, "--out", tmp_path / "run")
    for words in said:
        assert words in line
    assert list(tmp_path.iterdir()) == []  # nothing was begun


@pytest.mark.parametrize("case", ["model", "data", "init"])
def test_the_nearest_name_is_named_for_dense_training_too(case: str, tmp_path: Path) -> None:
    options, said = UNKNOWN[case]
    line = refusal("train", *TINY, *options, "--out", tmp_path / "run")
    assert f"did you mean {said[1]}" in line


def test_a_gpu_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    line = refusal("search", *TINY, "--device", "cuda", "--out", tmp_path / "run")
    assert "device cuda was asked for" in line
    assert list(tmp_path.iterdir()) == []


def test_a_missing_data_folder(tmp_path: Path) -> None:
    options = ["--data", "cifar10", "--data-dir", str(tmp_path / "images")]
    line = refusal("search", *TINY, *options, "--out", tmp_path / "run")
    assert str(tmp_path / "images") in line
    assert "train.parquet" in line
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_no_images(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    line = refusal("search", *TINY, "--data", tmp_path / "empty", "--out", tmp_path / "run")
    assert str(tmp_path / "empty") in line
    assert "train.parquet" in line
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_model_with_nothing_to_mask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "from torch import nn\ndef net(width, in_channels, classes): return nn.Flatten()\n"
    write_module(monkeypatch, tmp_path, "user_nothing", text)
    line = refusal("search", *TINY, "--model", "user_nothing:net", "--out", "run")
    assert "nothing to mask" in line
    assert "expected a Linear" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("user_missing:net", ["user_missing:net", "cannot import"]),
        ("user_broken:other", ["user_broken", "'other'"]),
        ("user_broken:net", ["user_broken:net", "RuntimeError: two lines"]),
        ("user_broken:number", ["user_broken:number", "torch.nn.Module", "int"]),
        ("user_broken:", ["user_broken:", "package.module:function"]),
    ],
)
def test_a_user_model_that_cannot_be_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, said: list[str]
) -> None:
    text = "def net(**_): raise RuntimeError('two\\nlines')\ndef number(**_): return 3\n"
    write_module(monkeypatch, tmp_path, "user_broken", text)
    line = refusal("search", *TINY, "--model", model, "--out", "run")
    for words in said:
        assert words in line
    assert not (tmp_path / "run").exists()


def test_a_ticket_for_another_architecture() -> None:
    path = finished() / "ticket.tombola"
    line = refusal("evaluate", path, "--model", "lenet-300-100")
    assert "another architecture" in line
    assert "'fc1.weight'" in line
    assert "(30, 64)" in line  # the model's: 300 times the ticket's width
    assert "(26, 64)" in line  # the ticket's
    line = refusal("evaluate", path, "--model", "conv2")
    assert "'conv1.weight'" in line
    assert "(6, 1, 3, 3)" in line


@pytest.mark.parametrize("command", ["inspect", "evaluate"])
@pytest.mark.parametrize("kept", [0, 4, 8, 100, 1500, -1])
def test_a_truncated_ticket(tmp_path: Path, command: str, kept: int) -> None:
    path = tmp_path / "t.tombola"
    path.write_bytes((finished() / "ticket.tombola").read_bytes()[:kept])
    line = refusal(command, path)
    assert line.startswith(f"{path}: ")
    assert "truncated" in line or "damaged" in line


@pytest.mark.parametrize("command", ["inspect", "evaluate"])
@pytest.mark.parametrize("data", [b"PK\3\4 a zip", b"\0" * 100, b"[]", b"\2\0\0\0\0\0\0\0{}" + b"\0" * 40])
def test_a_foreign_file(tmp_path: Path, command: str, data: bytes) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(data)
    line = refusal(command, path)
    assert line.startswith(f"{path}: not a Tombola ticket")


@pytest.mark.parametrize("command", ["inspect", "evaluate", "verify"])
def test_a_missing_ticket(tmp_path: Path, command: str) -> None:
    path = tmp_path / "none.tombola"
    assert refusal(command, path) == f"{path}: No such file or directory"
    assert str(tmp_path) in refusal(command, tmp_path)  # a folder


@pytest.mark.parametrize("command", ["search", "train"])
def test_a_folder_that_holds_another_run(tmp_path: Path, command: str) -> None:
    folder = copy_of_finished(tmp_path / "run")
    before = everything_in(folder)
    line = refusal(command, *TINY, "--out", folder)
    assert str(folder) in line
    assert "holds another run" in line
    assert "--resume" in line
    assert everything_in(folder) == before


@pytest.mark.parametrize("name", ["metrics.jsonl", "result.json", "checkpoint/latest.pt"])
@pytest.mark.parametrize("options", [[], ["--resume"]])
def test_what_is_left_of_another_run_is_not_overwritten(
    tmp_path: Path, name: str, options: list[str]
) -> None:
    path = tmp_path / "run" / name
    path.parent.mkdir(parents=True)
    path.write_text('{"test_accuracy": 1.0}')
    line = refusal("search", *TINY, *options, "--out", tmp_path / "run")
    assert f"holds another run ({path.name})" in line
    assert path.read_text() == '{"test_accuracy": 1.0}'
    assert list(everything_in(tmp_path)) == [f"run/{name}"]  # not even a lock


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("precious")
    for out in (tmp_path / "run", tmp_path / "run" / "deeper"):
        line = refusal("search", *TINY, "--out", out)
        assert str(out) in line
        assert "a file is in its place" in line
    assert (tmp_path / "run").read_text() == "precious"


def test_a_changed_configuration_is_not_resumed(tmp_path: Path) -> None:
    folder = copy_of_finished(tmp_path / "run")
    before = everything_in(folder)
    line = refusal("search", *TINY, "--resume", "--out", folder, "--lr", "0.25", "--method", "edge-popup")
    assert str(folder) in line
    assert "lr was 0.1, now 0.25" in line
    assert "method was 'iterand', now 'edge-popup'" in line
    assert "epochs" not in line  # was not changed
    assert everything_in(folder) == before


def test_a_run_of_another_command_is_not_resumed(tmp_path: Path) -> None:
    folder = copy_of_finished(tmp_path / "run")
    line = refusal("train", "--resume", "--out", folder)
    assert f"{folder / 'config.toml'} is of tombola search, not of tombola train" in line


def test_resume_without_a_folder() -> None:
    assert "--resume needs --out" in refusal("search", *TINY, "--resume")


NAN = """
import torch
from torch import nn

class Net(nn.Module):
    steps = 0
    def __init__(self, classes):
        super().__init__()
        self.fc = nn.Linear(64, classes)
    def forward(self, x):
        y = self.fc(x.flatten(1))
        self.steps += self.training
        return y * float({what!r}) if self.steps > {after} else y

def net(width, in_channels, classes): return Net(classes)
"""


@pytest.mark.parametrize(("command", "what"), [("search", "nan"), ("train", "inf")])
def test_a_loss_that_is_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, what: str
) -> None:
    """20 steps an epoch: step 27 is the seventh of epoch 2. The checkpoint of epoch 1 stays."""
    import torch

    name = f"user_{what}"
    write_module(monkeypatch, tmp_path, name, NAN.format(what=what, after=26))
    ended = tombola(command, *TINY, "--model", f"{name}:net", "--out", "run")
    assert ended.status == 2
    assert ended.out == ""
    progress, line = ended.err.splitlines()
    assert progress.startswith("epoch   1/2")
    assert "the loss became nan in epoch 2, step 7 (the last good checkpoint is kept)" in line
    state = torch.load(tmp_path / "run/checkpoint/latest.pt", weights_only=True)
    assert (state["epoch"], state["step"]) == (1, 0)
    assert len((tmp_path / "run/metrics.jsonl").read_text().splitlines()) == 1
    assert not (tmp_path / "run/result.json").exists()


def test_a_loss_that_is_no_number_from_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_module(monkeypatch, tmp_path, "user_nan_at_once", NAN.format(what="nan", after=0))
    line = refusal("search", *TINY, "--model", "user_nan_at_once:net", "--out", "run")
    assert "the loss became nan in epoch 1, step 1 (no checkpoint yet)" in line
    assert not (tmp_path / "run/checkpoint").exists()


def test_scores_that_are_no_numbers(tmp_path: Path) -> None:
    """The rate carries the scores to infinity, momentum and weight decay to infinity less infinity."""
    line = refusal("search", *TINY, "--lr", "3e38", "--weight-decay", "1", "--out", tmp_path / "run")
    assert "in epoch 1, step " in line
    assert "a lower lr than 3e+38" in line


@pytest.mark.parametrize("command", ["search", "train"])
def test_weights_that_the_last_step_of_an_epoch_breaks(tmp_path: Path, command: str) -> None:
    """One step an epoch: its loss is a number, what it leaves behind is none."""
    options = ["--batch-size", "2000", "--lr", "3e38", "--momentum", "0", "--weight-decay", "1e10"]
    if command == "search":
        options += ["--period", "1"]
    line = refusal(command, *TINY, *options, "--out", tmp_path / "run")
    assert "what is trained is no number any more" in line
    assert "in epoch 1, step 1 (no checkpoint yet)" in line
    assert not (tmp_path / "run/checkpoint").exists()
