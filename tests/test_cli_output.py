"""What people read: one line for each value, nothing that drives a terminal."""

from __future__ import annotations

import json

import pytest

from commands import tombola
from tombola import __version__
from tombola.cli_output import new_table, one_line, print_json, print_result, print_table


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("test_accuracy", 0.97123, "test accuracy  97.12 %"),
        ("accuracy", 1.0, "accuracy  100.00 %"),
        ("validation_accuracy", None, "validation accuracy  -"),
        ("weights", 1234567, "weights  1,234,567"),
        ("seed", 1234567, "seed  1234567"),  # to be typed again
        ("bits_per_weight", 1.23456, "bits per weight  1.235"),
        ("seconds", 1234.5678, "seconds  1235"),
        ("digest", "abc", "digest  abc"),
        ("folder", "runs/a_b", "folder  runs/a_b"),
    ],
)
def test_a_line(capsys: pytest.CaptureFixture[str], name: str, value: object, shown: str) -> None:
    print_result({name: value})
    assert capsys.readouterr().out == f"{shown}\n"


def test_values_stand_below_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    print_result({"a": 1, "long_name": 2})
    assert capsys.readouterr().out == "a          1\nlong name  2\n"


def test_json_keeps_everything(capsys: pytest.CaptureFixture[str]) -> None:
    values = {"test_accuracy": 0.9712345678901234, "none": None, "nested": {"a": [1, 2.5]}}
    print_json(values)
    assert json.loads(capsys.readouterr().out) == values


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain, höhe × 2 …", "plain, höhe × 2 …"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x1b[2J\x07\x9b", "\\x1b[2J\\x07\\x9b"),
        ("\u202eabc\u2028", "\\u202eabc\\u2028"),  # right-to-left override, line separator
        ("", ""),
    ],
)
def test_one_line(text: str, escaped: str) -> None:
    assert one_line(text) == escaped
    assert len(one_line(text).splitlines()) <= 1


@pytest.mark.parametrize("columns", [40, 80])
def test_a_narrow_terminal_gets_a_line_for_each_cell(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    table = new_table("Title", show_footer=True)
    table.add_column("tensor", footer="all")
    table.add_column("kept", footer="3")
    for name in ("a", "b"):
        table.add_row(name, "1")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    print_table(table)
    out = capsys.readouterr().out
    listed = "Title\n\ntensor  a\nkept  1\n\ntensor  b\nkept  1\n\ntensor  all\nkept  3\n\n"
    assert (out == listed) == (columns == 40)
    assert all(word in out for word in ("Title", "tensor", "kept", "all"))


def test_the_version() -> None:
    ended = tombola("--version")
    assert (ended.status, ended.out, ended.err) == (0, f"tombola {__version__}\n", "")


def test_json_has_null_for_what_is_no_finite_number(capsys: pytest.CaptureFixture[str]) -> None:
    nan, inf = float("nan"), float("inf")
    print_json({"loss": nan, "bounds": [inf, 1.5, (-inf, 2)], "within": {"a": nan, "b": "nan"}, "none": None})

    def refuse(word: str) -> None:
        raise AssertionError(word)

    told = json.loads(capsys.readouterr().out, parse_constant=refuse)
    wanted = {"loss": None, "bounds": [None, 1.5, [None, 2]], "within": {"a": None, "b": "nan"}, "none": None}
    assert told == wanted
