"""The command: usage, streams, exit statuses, and that no traceback ever comes out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from zlib import crc32

import pytest

from commands import (
    TINY,
    WITHOUT_TORCH,
    Ended,
    copy_of_finished,
    everything_in,
    finished,
    python,
    result_of,
    tombola,
    tombola_process,
    write_module,
)
from tombola import ArgumentError, cli

COMMANDS = (
    "search",
    "train",
    "evaluate",
    "inspect",
    "verify",
    "export",
    "construct",
    "bounds",
    "sweep",
    "report",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command: str) -> None:
    ended = tombola(command, "--help")
    assert ended.status == 0
    assert f"usage: tombola {command}" in ended.out
    assert ended.err == ""
    assert "--json" in ended.out


def test_help_lists_every_command() -> None:
    ended = tombola("--help")
    assert ended.status == 0
    for command in COMMANDS:
        assert f" {command} " in ended.out
    assert tuple(cli.COMMANDS) == COMMANDS


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "search, train, evaluate"),
        (["serch"], "serch"),
        (["search", "--epochs", "many"], "many"),
        (["search", "--epochs", "1.5"], "1.5"),
        (["search", "--epochs"], "--epochs"),
        (["search", "--config"], "--config"),
        (["search", "--out"], "--out"),
        (["search", "--epoch", "3"], "--epoch"),
        (["search", "--precision", "float16"], "float16"),
        (["search", "--bias", "True"], "True"),  # a flag takes no word, least of all as non-empty = true
        (["search", "extra"], "extra"),
        (["train", "--scope", "both"], "--scope"),
        (["verify"], "TICKET"),
        (["export", "t.tombola"], "--out"),
        (["export", "t.tombola", "--out", "n", "--to", "tflite"], "tflite"),
        (["report", "runs/a"], "--png"),
    ],
)
def test_bad_usage_is_the_parsers_short_message(arguments: list[str], said: str, tmp_path: Path) -> None:
    ended = tombola(*arguments)
    assert ended.status == 2
    assert ended.out == ""
    assert said.lower() in ended.err.lower()
    # The parser names every command that has an option like the one it does not know.
    assert len(ended.err.splitlines()) < 30
    assert "Traceback" not in ended.err


def test_results_go_to_one_stream_and_progress_to_the_other(tmp_path: Path) -> None:
    ended = tombola("search", *TINY, "--out", tmp_path / "run")
    assert ended.status == 0
    first, second = ended.err.splitlines()
    assert first.startswith("epoch   1/2  loss ")
    assert second.startswith("epoch   2/2  loss ")
    assert "examples/s" in second
    assert "epoch " not in ended.out.replace("best epoch ", "")
    assert f"{100 * result_of(tmp_path / 'run')['test_accuracy']:.2f} %" in ended.out
    assert str(tmp_path / "run") in ended.out


@pytest.mark.parametrize("command", ["search", "train"])
def test_json_is_the_result(tmp_path: Path, command: str) -> None:
    ended = tombola(command, *TINY, "--json", "--out", tmp_path / "run")
    assert json.loads(ended.out) == result_of(tmp_path / "run")


def test_json_of_evaluate_and_report(tmp_path: Path) -> None:
    ended = tombola("evaluate", finished() / "ticket.tombola", "--json")
    assert json.loads(ended.out)["test_accuracy"] == result_of(finished())["test_accuracy"]
    assert ended.err == ""
    ended = tombola("report", finished(), "--png", tmp_path / "p.png", "--json")
    assert json.loads(ended.out) == {"picture": str(tmp_path / "p.png")}
    assert ended.err == ""


def test_without_out_the_first_free_folder_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        assert tombola("search", *TINY).status == 0
        assert (tmp_path / f"runs/iterand-digits-mlp-{number}/result.json").exists()
    assert tombola("train", *TINY).status == 0
    assert (tmp_path / "runs/train-digits-mlp-1/result.json").exists()


FAILING = """
from torch import nn
class Net(nn.Sequential):
    def forward(self, x):
        raise {error}
def net(width, in_channels, classes): return Net(nn.Flatten(), nn.Linear(64, classes))
"""


UNANSWERED = "the model cannot answer inputs of shape (64, 1, 8, 8):"
SHOWN = "(TOMBOLA_TRACEBACK=1 shows where)"


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        ("RuntimeError('first\\nsecond')", 2, f"{UNANSWERED} RuntimeError: first {SHOWN}"),
        ("AssertionError()", 2, f"{UNANSWERED} AssertionError: no message {SHOWN}"),
        (
            "RuntimeError('DefaultCPUAllocator: no memory')",
            3,
            f"RuntimeError: DefaultCPUAllocator: no memory {SHOWN}",
        ),
        ("OSError(28, 'No space left on device')", 3, "No space left on device"),
        ("OSError(13, 'Permission denied', 'f')", 3, "f: Permission denied"),
        ("FileNotFoundError(2, 'No such file or directory', 'f')", 2, "f: No such file or directory"),
        ("FileNotFoundError('about\\nnothing')", 2, "about\\nnothing"),
        ("PermissionError()", 3, "PermissionError"),
        ("KeyboardInterrupt", 130, "interrupted"),
        ("MemoryError()", 3, f"MemoryError: no message {SHOWN}"),
    ],
)
def test_whatever_a_users_model_raises_comes_to_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str, status: int, said: str
) -> None:
    monkeypatch.delenv("TOMBOLA_TRACEBACK", raising=False)
    name = f"user_raises_{crc32(error.encode())}"
    write_module(monkeypatch, tmp_path, name, FAILING.format(error=error))
    ended = tombola("search", *TINY, "--model", f"{name}:net", "--out", "run")
    assert (ended.status, ended.out, ended.complaint) == (status, "", said)


def test_a_traceback_is_to_be_had_for_the_asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOMBOLA_TRACEBACK", "1")
    write_module(monkeypatch, tmp_path, "user_raises", FAILING.format(error="ZeroDivisionError('here')"))
    with pytest.raises(ArgumentError) as raised:
        tombola("search", *TINY, "--model", "user_raises:net", "--out", "run")
    assert repr(raised.value.__cause__) == "ZeroDivisionError('here')"


@pytest.mark.parametrize("what", ["write", "make"])
@pytest.mark.parametrize(
    ("number", "said"),
    [(28, "No space left on device"), (30, "Read-only file system"), (13, "Permission denied")],
)
def test_a_full_or_read_only_place_is_a_fault_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, number: int, said: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr({"write": "os.fsync", "make": "pathlib.Path.mkdir"}[what], refuse)
    ended = tombola("search", *TINY, "--out", tmp_path / "run")
    assert ended.status == 3
    assert said in ended.complaint
    if what == "write":
        assert ended.complaint == f"{tmp_path / 'run/config.toml'}: {said}"


def test_a_disk_that_fills_up_keeps_what_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Full at the second epoch's checkpoint: the first one's is whole, and the run can go on."""
    calls, flush = 0, os.fsync

    def fill(handle: int) -> None:
        nonlocal calls
        calls += 1
        # config.toml, checkpoint and metrics of epoch 1, each with its folder; checkpoint of epoch 2.
        if calls >= 7:
            raise OSError(28, "No space left on device")
        flush(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fill)
        ended = tombola("search", *TINY, "--out", tmp_path / "run")
    assert ended.status == 3
    line = ended.err.splitlines()[-1]
    assert line == (
        f"tombola: {tmp_path / 'run/checkpoint/latest.pt'}: No space left on device (the last checkpoint is "
        f"kept: go on with --resume --out {tmp_path / 'run'})"
    )
    assert tombola("search", "--resume", "--out", tmp_path / "run").status == 0
    ticket = (tmp_path / "run/ticket.tombola").read_bytes()
    assert ticket == (finished() / "ticket.tombola").read_bytes()


def test_a_picture_into_a_missing_folder(tmp_path: Path) -> None:
    path = tmp_path / "nowhere/p.png"
    ended = tombola("report", finished(), "--png", path)
    assert (ended.status, ended.complaint) == (2, f"{path}: No such file or directory")


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_full_standard_output(tmp_path: Path, options: list[str]) -> None:
    path = copy_of_finished(tmp_path / "run") / "ticket.tombola"
    code = (
        "import os, sys; os.dup2(os.open('/dev/full', os.O_WRONLY), 1); "
        f"from tombola.cli import main; sys.exit(main(['inspect', sys.argv[1], *{options!r}]))"
    )
    ended = python(code, path, cwd=tmp_path)
    assert ended.status == 3
    assert ended.complaint == "No space left on device"


def test_a_closed_pipe_is_left_in_silence(tmp_path: Path) -> None:
    path = copy_of_finished(tmp_path / "run") / "ticket.tombola"
    code = (
        "import os, sys; r, w = os.pipe(); os.close(r); os.dup2(w, 1); "
        "from tombola.cli import main; sys.exit(main(['inspect', sys.argv[1]]))"
    )
    ended = python(code, path, cwd=tmp_path)
    assert (ended.status, ended.err) == (3, "")


def test_closed_streams_and_a_poor_encoding_do_no_harm(tmp_path: Path) -> None:
    path = copy_of_finished(tmp_path / "run") / "ticket.tombola"
    code = "import sys; from tombola.cli import main; sys.exit(main(sys.argv[1:]))"
    ended = python(code, "inspect", path, cwd=tmp_path, environment={"PYTHONIOENCODING": "ascii"})
    assert (ended.status, ended.err) == (0, "")
    assert "26\\xd764" in ended.out
    closed = (
        "import os, sys; os.close(1); os.close(2); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    for command, status in (("verify", 0), ("nonsense", 2)):
        assert python(closed, "-c", code, command, path, cwd=tmp_path) == Ended(status, "", "")


def test_reading_a_ticket_needs_no_torch(tmp_path: Path) -> None:
    path = finished() / "ticket.tombola"
    for command in ("inspect", "verify"):
        ended = python(WITHOUT_TORCH, command, path, cwd=tmp_path)
        assert (ended.status, ended.err) == (0, "")
        assert result_of(finished())["digest"] in ended.out


@pytest.mark.parametrize("command", ["search", "train", "evaluate"])
def test_what_needs_torch_says_how_to_get_it(tmp_path: Path, command: str) -> None:
    arguments = [finished() / "ticket.tombola"] if command == "evaluate" else ["--out", tmp_path / "run"]
    ended = python(WITHOUT_TORCH, command, *arguments, cwd=tmp_path)
    assert (ended.status, ended.out) == (2, "")
    assert "pip install 'tombola[torch]'" in ended.complaint
    assert list(tmp_path.iterdir()) == []


def test_the_installed_command(tmp_path: Path) -> None:
    """The exit status reaches the shell, and a refusal is one line there too."""
    ended = tombola_process("search", "--density", "2", "--out", "run", cwd=tmp_path)
    assert (ended.status, ended.out) == (2, "")
    assert ended.complaint.startswith("density ")
    assert list(tmp_path.iterdir()) == []


def test_help_waits_for_no_torch(tmp_path: Path) -> None:
    code = "import sys; from tombola.cli import main; assert main is not None; print('torch' in sys.modules)"
    assert python(code, cwd=tmp_path).out == "False\n"


def test_a_finished_run_is_left_alone_by_every_reading_command(tmp_path: Path) -> None:
    folder = copy_of_finished(tmp_path / "run")
    before = everything_in(folder)
    for command in ("inspect", "verify", "evaluate"):
        assert tombola(command, folder / "ticket.tombola").status == 0
    assert tombola("report", folder, "--png", tmp_path / "p.png").status == 0
    assert everything_in(folder) == before
    assert sys.modules["tombola.cli"] is cli


def test_the_command_starts_without_what_takes_long_to_import() -> None:
    code = "import sys, tombola.cli; sys.exit(', '.join({'torch', 'numpy', 'rich'} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
