"""What a run shows: plain lines in a file, a bar on a terminal."""

from __future__ import annotations

import io
import re
import sys
from contextlib import redirect_stderr
from typing import Any

import pytest
from rich.console import Console

from tombola.experiments.display import Display

ROW: dict[str, Any] = {
    "epoch": 3,
    "loss": 1.23456,
    "train_accuracy": 0.5,
    "validation_accuracy": 0.625,
    "examples_per_second": 12345.6,
}


def shown(console: Console, file: io.StringIO, row: dict[str, Any]) -> str:
    with Display(100, 2000, 40, console) as display:
        display.step(done=60, epoch=3, loss=1.23456, accuracy=0.5, rate=12345.6)
        display.epoch(row, left=3700.4)
    return file.getvalue()


def test_plain_lines_in_a_file() -> None:
    file = io.StringIO()
    text = shown(Console(file=file, width=40), file, ROW)
    assert text == (
        "epoch   3/100  loss 1.2346  train  50.0 %  validation  62.5 %  12,346 examples/s  1:01:40 left\n"
    )


def test_no_validation_is_shown_where_there_is_none() -> None:
    file = io.StringIO()
    text = shown(Console(file=file), file, {**ROW, "validation_accuracy": None})
    assert text == "epoch   3/100  loss 1.2346  train  50.0 %  12,346 examples/s  1:01:40 left\n"


@pytest.mark.parametrize("width", [80, 120])
def test_a_bar_on_a_terminal(width: int) -> None:
    file = io.StringIO()
    text = shown(Console(file=file, force_terminal=True, width=width), file, ROW)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "\n")
    lines = [line.rstrip() for line in plain.splitlines()]
    assert "epoch   3/100  loss 1.2346  train  50.0 %  validation  62.5 %" in lines
    bar = next(line for line in reversed(lines) if line)
    assert bar.startswith("epoch 3/100 ━")
    assert "loss 1.235  train 50.0 %  12,346 examples/s" in bar
    assert re.search(r"\d:\d\d:\d\d$|-:--:--$", bar)  # the time left, whole
    assert len(bar) <= width


def test_the_bar_is_taken_down_on_an_error() -> None:
    file = io.StringIO()
    with pytest.raises(ZeroDivisionError), Display(1, 1, 0, Console(file=file, force_terminal=True)):
        raise ZeroDivisionError
    assert file.getvalue().count("\x1b[?25l") == file.getvalue().count("\x1b[?25h") > 0  # the cursor


def test_standard_error_is_the_place(capsys: pytest.CaptureFixture[str]) -> None:
    with Display(100, 2000, 0) as display:
        assert not display.live
        display.epoch(ROW, left=1.0)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("epoch   3/100")
    with redirect_stderr(io.StringIO()) as error, Display(100, 2000, 0) as display:
        assert sys.stderr is error
        display.epoch(ROW, left=1.0)
    assert error.getvalue().startswith("epoch   3/100")
