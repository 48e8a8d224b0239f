"""The folder of a run: names, locks, records, checkpoints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tombola.errors import RunError
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
