"""A run's options out of a file: those of a ticket repeat the search that found it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builders import LayerNormMLP
from commands import copy_of_finished, finished, refusal, tombola
from tombola import ArgumentError, RunError, Source, Ticket
from tombola.experiments.repeat import read_config
from tombola.experiments.search_config import SearchConfig
from tombola.experiments.train_config import TrainConfig


def with_metadata(folder: Path, metadata: dict[str, str]) -> Path:
    source = Source(LayerNormMLP())
    path = folder / "t.tombola"
    Ticket.from_mask(source, source.mask, metadata=metadata).save(path)
    return path


def test_a_ticket_says_what_repeats_it(tmp_path: Path) -> None:
    first = finished("search", "--period", "None") / "ticket.tombola"
    ended = tombola("search", "--config", first, "--out", tmp_path / "again")
    assert ended.status == 0, ended
    assert (tmp_path / "again" / "ticket.tombola").read_bytes() == first.read_bytes()


def test_options_given_count_more(tmp_path: Path) -> None:
    first = finished() / "ticket.tombola"
    ended = tombola("search", "--config", first, "--seed", "8", "--out", tmp_path / "other")
    assert ended.status == 0, ended
    assert Ticket.load(tmp_path / "other" / "ticket.tombola").seed == 8


def test_a_ticket_is_known_by_its_beginning(tmp_path: Path) -> None:
    copy = tmp_path / "renamed.toml"
    copy.write_bytes((finished() / "ticket.tombola").read_bytes())
    assert isinstance(read_config(SearchConfig, copy), SearchConfig)


def test_a_configuration_file_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(SearchConfig(seed=3).to_toml())
    assert read_config(SearchConfig, tmp_path / "c.toml") == SearchConfig(seed=3)


@pytest.mark.parametrize(
    "metadata", [{}, {"settings": "[]"}, {"settings": "{"}, {"settings": "3"}, {"settings": "[" * 9**6}]
)
def test_tickets_that_do_not_say(tmp_path: Path, metadata: dict[str, str]) -> None:
    path = with_metadata(tmp_path, metadata)
    with pytest.raises(ArgumentError, match=r"t.tombola does not say with what settings it was found"):
        read_config(SearchConfig, path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "os:system"}, "asks to import 'os:system': give its options one by one"),
        ({"sead": 3}, "unknown setting in .*t.tombola: 'sead': did you mean 'seed'"),
        ({"out": "/tmp/elsewhere"}, "unknown setting in .*t.tombola: 'out'"),
        ({"resume": True}, "unknown setting in .*t.tombola: 'resume'"),
        ({"data_dir": "/etc"}, "unknown setting in .*t.tombola: 'data_dir'"),
        ({"data": "/etc"}, "t.tombola names a folder of data, '/etc': give its options one by one"),
        ({"data": "here"}, "t.tombola names a folder of data, 'here': give its options one by one"),
        ({"lr": 10**400}, "option 'lr' in .*t.tombola must be a number, got 1000"),
        ({"epochs": "many"}, "option 'epochs' in .*t.tombola must be a whole number, got 'many'"),
    ],
)
def test_settings_of_a_stranger(
    tmp_path: Path, settings: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = with_metadata(tmp_path, {"settings": json.dumps(settings)})
    (tmp_path / "here").mkdir()  # a folder that happens to be called so is not opened
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArgumentError, match=message):
        read_config(SearchConfig, path)


def test_a_ticket_is_of_a_search(tmp_path: Path) -> None:
    path = copy_of_finished(tmp_path / "run") / "ticket.tombola"
    with pytest.raises(RunError, match="is of tombola search, not of tombola train"):
        read_config(TrainConfig, path)


def test_a_damaged_ticket(tmp_path: Path) -> None:
    whole = (finished() / "ticket.tombola").read_bytes()
    (tmp_path / "t.tombola").write_bytes(whole[:-1])
    assert "t.tombola: the ticket is damaged" in refusal("search", "--config", tmp_path / "t.tombola")
