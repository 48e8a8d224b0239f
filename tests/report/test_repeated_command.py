"""The command that repeats a run: it gives the very same configuration, and the same ticket."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from commands import copy_of_finished, finished, tombola
from tombola.report.repeat import command_of
from tombola.report.run import Run


def words(folder: Path) -> list[str]:
    command = command_of(Run.read(folder, "name"))
    assert command is not None
    program, *rest = shlex.split(command)
    assert program == "tombola"
    return rest


def test_a_search_is_repeated_bit_for_bit(tmp_path: Path) -> None:
    odd = ("--bias", "--period", "None", "--scope", "global", "--anneal", "2", "--anneal-epochs", "1.5")
    folder = finished("search", *odd)
    ended = tombola(*words(folder), "--out", tmp_path / "again")
    assert ended.status == 0, ended
    for name in ("config.toml", "ticket.tombola", "layers.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize("options", [(), ("--method", "set", "--density", "0.5", "--drop", "0.2")])
def test_training_is_repeated(tmp_path: Path, options: tuple[str, ...]) -> None:
    folder = finished("train", *options)
    assert tombola(*words(folder), "--out", tmp_path / "again").status == 0
    assert (tmp_path / "again" / "config.toml").read_bytes() == (folder / "config.toml").read_bytes()


def test_words_are_quoted_for_the_shell(tmp_path: Path) -> None:
    folder = copy_of_finished(tmp_path / "run")
    text = (folder / "config.toml").read_text().replace('"digits"', '"/data/my images; $(x)"')
    (folder / "config.toml").write_text(text)
    assert "--data '/data/my images; $(x)' --" in str(command_of(Run.read(folder, "name")))


def test_without_a_configuration_there_is_none(tmp_path: Path) -> None:
    folder = copy_of_finished(tmp_path / "run")
    (folder / "config.toml").unlink()
    assert command_of(Run.read(folder, "name")) is None
