"""Sweeps that are run and kept: tiny ones, on the digits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

import commands
from reproduction import __main__ as program
from reproduction import int8, machine, page, records
from reproduction.claims import ALL as CLAIMS
from tombola import data
from tombola.errors import DataError
from tombola.ticket import Ticket

ROOT = Path(__file__).parents[2]
TINY = """
command = "train"
seeds = 2
[options]
data = "digits"
model = "mlp"
width = 0.1
epochs = 1
precision = "float32"
[grid]
lr = [0.1, 0.01]
"""


def reproduction(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "reproduction", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_an_unknown_sweep_is_refused() -> None:
    ended = reproduction("run", "theory", "a9")
    assert ended.returncode == 2
    assert "unknown sweep 'a9'; there are theory, a1-seeds, a1-width-0.25, " in ended.stderr


def test_a_sweep_is_run_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "tiny.toml"
    file.write_text(TINY)
    monkeypatch.setattr(records, "KEPT", tmp_path / "records")
    monkeypatch.setattr(program, "file_of", lambda name: file)
    monkeypatch.setattr(program, "data_of", lambda name: "digits")
    assert program.run("tiny", tmp_path / "runs", "here") == 0
    kept = records.runs("tiny")
    assert len(kept.rows) == 4
    assert (tmp_path / "records" / "tiny" / "sweep.toml").read_text() == TINY
    assert len(kept.where(lr=0.1).accuracies()) == 2
    (curve,) = (row for row in records.curves("tiny").rows if row["run"] == "lr=0.1,seed=1")
    (result,) = kept.where(lr=0.1, seed=1).values("validation_accuracy")
    assert curve["epoch"] == "1"
    assert float(curve["validation_accuracy"]) == pytest.approx(result, abs=5e-5)
    told = records.machine("tiny")
    assert told is not None
    assert told["data"] == {"digits": data.load("digits", validation=0.0).fingerprint()}
    assert "digits (" in machine.shown(told)
    assert f", {torch.backends.cpu.get_cpu_capability()}, " in machine.shown(told)
    assert str(tmp_path) not in "".join(path.read_text() for path in (tmp_path / "records").rglob("*.*"))


def test_a_sweep_without_data_leaves_the_records_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "tiny.toml"
    file.write_text(TINY.replace('"digits"', '"./nowhere"'))
    kept = tmp_path / "records" / "tiny" / "results.csv"
    kept.parent.mkdir(parents=True)
    kept.write_text("of earlier runs")
    monkeypatch.setattr(records, "KEPT", tmp_path / "records")
    monkeypatch.setattr(program, "file_of", lambda name: file)
    monkeypatch.setattr(program, "data_of", lambda name: "./nowhere")
    assert program.run("tiny", tmp_path / "runs", "here") == 1
    assert kept.read_text() == "of earlier runs"


def test_a_sweep_that_was_stopped_is_judged_too(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[object] = []
    monkeypatch.setattr(program, "run", lambda name, out: 130)
    monkeypatch.setattr(page, "write", judged.append)
    monkeypatch.setattr(sys, "argv", ["reproduction", "run", "a2"])
    assert program.main() == 130
    assert judged == [CLAIMS]


def test_what_cannot_be_read_is_said_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone(name: str, out: Path) -> int:
        raise DataError("there is no train.parquet in ./nowhere")

    monkeypatch.setattr(program, "run", gone)
    monkeypatch.setattr(page, "write", lambda claims: None)
    monkeypatch.setattr(sys, "argv", ["reproduction", "run", "a2", "c1"])
    assert program.main() == 2
    assert capsys.readouterr().err == "reproduction: a2: there is no train.parquet in ./nowhere\n"


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "handed_on"), [(signal.SIGINT, False), (signal.SIGTERM, True)])
def test_a_signal_lets_the_sweep_end_by_itself(
    number: signal.Signals, handed_on: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child sends it to its parent, once, and ends as a sweep does whose checkpoints take a second."""
    child = tmp_path / "child"
    child.write_text(
        f"#!{sys.executable}\n"
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))\n"
        f"os.kill(os.getppid(), {number.value})\n"
        "time.sleep(1)\n"
        "sys.exit(130)\n"
    )
    child.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(child))
    before = signal.getsignal(number)
    assert program.run("a2", tmp_path / "runs") == (75 if handed_on else 130)
    assert signal.getsignal(number) is before


def test_rows_are_told_apart_by_numbers_and_words() -> None:
    rows = records.Rows(
        (
            {"state": "finished", "seed": "10", "rate": "0.10", "method": "a", "test_accuracy": "0.5"},
            {"state": "finished", "seed": "9", "rate": "0.1", "method": "b", "test_accuracy": "0.25"},
            {"state": "failed", "seed": "2", "rate": "0.1", "method": "b", "test_accuracy": ""},
            {"state": "finished", "seed": "0", "rate": "", "method": "b", "test_accuracy": "0.1"},
        )
    )
    assert rows.where(rate=0.1).values("test_accuracy") == [0.25, 0.5]  # by seed
    assert rows.where(rate=0.1).accuracies() == []  # one has failed, and not by diverging
    assert rows.where(method="a").accuracies() == [50.0]
    assert len((rows + rows).rows) == 8


def test_the_copy_of_cifar10_is_known_by_its_fingerprint() -> None:
    told = {**machine.told(), "data": {"cifar10": machine.JPEG_COPY}}
    assert "JPEG copy of CIFAR-10" in machine.shown(told)
    assert "cifar10 (0123)" in machine.shown({**told, "data": {"cifar10": "0123"}})


def test_eight_bits_are_within_half_a_step() -> None:
    torch.manual_seed(0)
    weights = {"conv.weight": torch.randn(5, 3, 2, 2), "conv.bias": torch.randn(5)}
    weights["conv.weight"][2] = 0  # a dead channel
    stored, back = int8.rounded(weights)
    assert stored["conv.weight"].dtype == torch.int8
    assert torch.equal(back["conv.bias"], weights["conv.bias"])
    step = weights["conv.weight"].abs().amax((1, 2, 3), keepdim=True) / 127
    assert ((back["conv.weight"] - weights["conv.weight"]).abs() <= step * 0.5001).all()
    assert (back["conv.weight"][2] == 0).all()
    assert stored["conv.weight"].abs().amax() == 127


def test_a_trained_network_is_measured_in_eight_bits(tmp_path: Path) -> None:
    ended = commands.tombola("train", *commands.TINY, "--lr", "0.1", "--out", tmp_path / "run", "--json")
    assert ended.status == 0
    nbytes, whole, small = int8.measure(tmp_path / "run")
    assert f'"test_accuracy": {whole}' in ended.out
    assert abs(small - whole) < 0.05
    trained = safetensors.torch.load_file(tmp_path / "run" / "model.safetensors")
    weights = sum(tensor.numel() for tensor in trained.values() if tensor.dim() > 1)
    others = sum(tensor.numel() for tensor in trained.values() if tensor.dim() == 1)
    rows = sum(len(tensor) for tensor in trained.values() if tensor.dim() > 1)
    assert 0 < nbytes - (weights + 4 * others + 4 * rows) < 1500  # the header


def test_rate_0_is_edge_popup(tmp_path: Path) -> None:
    for method, *options in (("iterand", "--rate", "0", "--period", "2"), ("edge-popup",)):
        out = ["--out", str(tmp_path / method), "--json"]
        ended = commands.tombola("search", *commands.TINY, "--method", method, *options, *out)
        assert ended.status == 0
    first, other = (Ticket.load(tmp_path / name / "ticket.tombola") for name in ("iterand", "edge-popup"))
    assert first.digest == other.digest


def test_the_readme_leads_to_the_page() -> None:
    assert f"]({page.PAGE.name})" in (records.HERE / "README.md").read_text()
