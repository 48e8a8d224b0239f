"""The folder of a run: names, locks, records, checkpoints."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch

from commands import everything_in
from tombola.errors import ArgumentError, RunError
from tombola.experiments.folder import RunFolder
from tombola.experiments.search_config import SearchConfig


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "run")
    with made.locked():
        made.start(SearchConfig())
    return made


def test_the_first_free_folder_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that two processes that start together never get the same."""
    monkeypatch.chdir(tmp_path)
    assert [RunFolder.free("a").path for _ in range(3)] == [Path(f"runs/a-{n}") for n in (1, 2, 3)]
    Path("runs/a-2").rmdir()
    Path("runs/a-2").write_text("a file")
    assert RunFolder.free("a").path == Path("runs/a-4")
    assert RunFolder.free("b").path == Path("runs/b-1")


def test_a_lock_is_for_one(folder: RunFolder) -> None:
    with folder.locked():
        with pytest.raises(RunError, match="in use by another running process"), folder.locked():
            pass
        with pytest.raises(RunError), folder.locked():  # the refused one has not opened it
            pass
    with folder.locked():
        pass


def test_a_lock_is_released_on_an_error(folder: RunFolder) -> None:
    with pytest.raises(ZeroDivisionError), folder.locked():
        raise ZeroDivisionError
    with folder.locked():
        pass


def test_a_folder_in_use_is_noticed_before_its_lock_is_needed(folder: RunFolder, tmp_path: Path) -> None:
    folder.check_unlocked()
    with folder.locked():
        for check in (folder.check_unlocked, folder.check_free):
            with pytest.raises(RunError, match="in use by another running process"):
                check()
    new = RunFolder(tmp_path / "new")
    new.check_free()
    assert not new.path.exists()


def test_the_lock_s_holder_removes_what_others_left(folder: RunFolder) -> None:
    """But nothing that another program may be writing into the folder now."""
    folder.save_checkpoint({"step": 1})
    left = [".config.toml", ".ticket.tombola", "checkpoint/.latest.pt", "checkpoint/.anything"]
    others = [folder.path / f"{name}.abcdefgh.partial" for name in (".export.onnx", ".ticket.onnx")]
    for path in (*others, *(folder.path / f"{name}.abcdefgh.partial" for name in left)):
        path.touch()
    with folder.locked():
        assert sorted(folder.path.rglob("*.partial")) == sorted(others)


@pytest.mark.parametrize(
    ("number", "kind"), [(28, OSError), (30, OSError), (13, PermissionError), (5, OSError)]
)
def test_a_fault_says_that_the_checkpoint_is_kept(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[OSError]
) -> None:
    for step in (1, 2):
        folder.save_checkpoint({"step": step})
    before = everything_in(folder.path)

    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(kind) as caught, folder.locked():
        folder.save_checkpoint({"step": 3})
    assert (caught.value.errno, caught.value.filename) == (number, str(folder.latest))
    expected = f"{os.strerror(number)} (the last checkpoint is kept: go on with --resume --out {folder.path})"
    assert caught.value.strerror == expected
    assert everything_in(folder.path) == before


def test_a_fault_before_the_first_checkpoint_promises_none(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space") as caught, folder.locked():
        folder.save_checkpoint({"step": 1})
    assert caught.value.strerror == "No space left on device"
    assert folder.load_checkpoint() is None


def test_a_lock_that_may_not_be_made_is_no_other_process(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system", str(folder.path / ".lock"))

    monkeypatch.setattr("tombola.experiments.folder.FileLock.acquire", refuse)
    with pytest.raises(OSError, match="Read-only file system"), folder.locked():
        pass


def test_the_last_two_checkpoints_are_kept(folder: RunFolder) -> None:
    assert folder.load_checkpoint() is None
    for step in (1, 2, 3):
        folder.save_checkpoint({"step": step, "tensor": torch.full((2,), step)})
    state = folder.load_checkpoint()
    assert state is not None
    assert (state["step"], state["tensor"].tolist()) == (3, [3, 3])
    assert torch.load(folder.previous, weights_only=True)["step"] == 2
    assert sorted(path.name for path in folder.latest.parent.iterdir()) == ["latest.pt", "previous.pt"]


def test_a_lone_damaged_checkpoint_is_an_error(folder: RunFolder) -> None:
    folder.save_checkpoint({"step": 1})
    folder.latest.write_bytes(folder.latest.read_bytes()[:-1])
    with pytest.raises(RunError, match=r"latest\.pt is truncated or damaged"):
        folder.load_checkpoint()


@pytest.mark.parametrize("error", [KeyError("epoch"), TypeError("no\nnumber"), RuntimeError("sizes\ndiffer")])
def test_a_checkpoint_that_nothing_can_be_made_of(folder: RunFolder, error: Exception) -> None:
    with pytest.raises(RunError) as caught, folder.fitting():
        raise error
    what = str(error).split("\n")[0]
    line = f"checkpoint {folder.latest} does not fit this run ({type(error).__name__}: {what})"
    assert str(caught.value) == line


@pytest.mark.parametrize("error", [ArgumentError("other data"), PermissionError(13, "Permission denied")])
def test_an_error_that_says_what_is_wrong_is_passed_on(folder: RunFolder, error: Exception) -> None:
    with pytest.raises(type(error)) as caught, folder.fitting():
        raise error
    assert caught.value is error


def test_any_flipped_bit_of_the_state_is_noticed(folder: RunFolder) -> None:
    folder.save_checkpoint({"step": 1, "tensor": torch.arange(100.0)})
    good = folder.latest.read_bytes()
    at = good.index(torch.arange(100.0).numpy().tobytes())
    for position in range(at, at + 400, 7):
        folder.latest.write_bytes(good[:position] + bytes([good[position] ^ 4]) + good[position + 1 :])
        with pytest.raises(RunError, match="truncated or damaged"):
            folder.load_checkpoint()


def test_a_checkpoint_that_may_not_be_read_is_no_damage(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of the environment must not make the run go on from an older state."""
    folder.save_checkpoint({"step": 1})
    folder.save_checkpoint({"step": 2})

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(PermissionError):
        folder.load_checkpoint()


def test_metrics_are_written_whole(folder: RunFolder) -> None:
    folder.write_metrics([{"epoch": 1}])
    folder.write_metrics([{"epoch": 1}, {"epoch": 2}])
    assert folder.metrics.read_text() == '{"epoch": 1}\n{"epoch": 2}\n'


def test_a_run_is_finished_once_its_result_is_there(folder: RunFolder) -> None:
    assert folder.finished() is None
    folder.write_result({"test_accuracy": 0.5})
    assert folder.finished() == json.loads(folder.result.read_text()) == {"test_accuracy": 0.5}
    folder.result.write_text("{")
    with pytest.raises(RunError, match=r"result\.json cannot be read"):
        folder.finished()
