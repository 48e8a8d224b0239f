"""Atomic writing: the old file or the new one, nothing else."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tombola.files import remove_leftovers, write_atomically


def test_writes_new_and_old_files(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"one")
    assert path.read_bytes() == b"one"
    write_atomically(str(path), b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("broken", ["os.fsync", "pathlib.Path.replace", "pathlib.Path.chmod"])
def test_the_old_file_survives_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(broken, fail)
        with pytest.raises(OSError, match="No space left on device") as caught:
            write_atomically(path, b"new")
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_the_old_file_survives_an_interrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "fsync", interrupt)
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_the_old_file_may_be_kept(tmp_path: Path) -> None:
    for data in (b"one", b"two", b"three"):
        write_atomically(tmp_path / "file", data, keep=tmp_path / "kept")
    assert (tmp_path / "file").read_bytes() == b"three"
    assert (tmp_path / "kept").read_bytes() == b"two"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("broken", ["os.fsync", "pathlib.Path.chmod"])
def test_a_full_disk_moves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    for data in (b"one", b"two"):
        write_atomically(tmp_path / "file", data, keep=tmp_path / "kept")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(broken, fail)
    with pytest.raises(OSError, match="No space left on device"):
        write_atomically(tmp_path / "file", b"three", keep=tmp_path / "kept")
    assert (tmp_path / "file").read_bytes() == b"two"
    assert (tmp_path / "kept").read_bytes() == b"one"


def test_the_folder_is_flushed_after_the_renaming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a power cut could undo it."""
    done: list[str] = []
    flush, rename = os.fsync, Path.replace

    def flushed(handle: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        flush(handle)

    def renamed(path: Path, target: Path) -> Path:
        done.append("rename")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(Path, "replace", renamed)
    write_atomically(tmp_path / "file", b"one")
    assert done == ["file", "rename", "folder"]


def test_a_file_system_that_flushes_no_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flush = os.fsync

    def refuse(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(22, "Invalid argument")
        flush(handle)

    monkeypatch.setattr(os, "fsync", refuse)
    write_atomically(tmp_path / "file", b"one")
    assert (tmp_path / "file").read_bytes() == b"one"


def test_the_first_error_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the half-written file cannot be removed, either."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr(Path, "unlink", fail)
    with pytest.raises(OSError, match="No space left on device"):
        write_atomically(tmp_path / "file", b"one")


LEFT = [".a.pt.abcdefgh.partial", ".a.pt.12_45678.partial", ".b.toml.abcdefgh.partial"]
OTHERS = ["a.pt", ".a.pt", ".a.pt.abcdefgh", ".a.pt.partial", ".a.pt.ABCDEFGH.partial", "a.abcdefgh.partial"]


@pytest.mark.parametrize(("name", "gone"), [("a.pt", LEFT[:2]), (None, LEFT), ("c", []), ("a.p.", [])])
def test_what_a_killed_process_left_is_removed(tmp_path: Path, name: str | None, gone: list[str]) -> None:
    for file in LEFT + OTHERS:
        (tmp_path / file).touch()
    remove_leftovers(tmp_path, name)
    assert {path.name for path in tmp_path.iterdir()} == {*LEFT, *OTHERS} - set(gone)
    remove_leftovers(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127])
def test_the_longest_names(tmp_path: Path, name: str) -> None:
    write_atomically(tmp_path / name, b"one")
    write_atomically(tmp_path / name, b"two")
    assert (tmp_path / name).read_bytes() == b"two"
    left = tmp_path / os.fsdecode(b"." + os.fsencode(name)[:237] + b".abcdefgh.partial")
    left.touch()
    remove_leftovers(tmp_path, name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_permissions_are_those_of_an_ordinary_new_file(tmp_path: Path, umask: int) -> None:
    old = os.umask(umask)
    try:
        write_atomically(tmp_path / "file", b"")
        assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~umask
        assert os.umask(umask) == umask  # as it was
    finally:
        os.umask(old)


def test_a_missing_folder_is_named_by_the_file_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "file"
    with pytest.raises(FileNotFoundError) as caught:
        write_atomically(path, b"")
    assert caught.value.filename == str(path)


def test_a_folder_in_the_way_stays(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomically(tmp_path / "file", b"")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    write_atomically(tmp_path / "link", b"data")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"data"


def test_a_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    """As root, renaming a file over /dev/null would succeed."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_atomically(pipe, b"data")
        assert os.read(reader, 10) == b"data"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert [p.name for p in tmp_path.iterdir()] == ["pipe"]
