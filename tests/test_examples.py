"""The examples run as a reader would run them, the greater one at small size."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from torch import nn

import tombola

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(example: str, *arguments: str, cwd: Path) -> str:
    """What an example prints in a process of its own, with one thread, as the suite's processes have."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / example), *arguments],
        cwd=cwd,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def gpt(*arguments: str) -> None:
    """The GPT's command in this process, which has torch loaded already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["gpt.py", *arguments])
        runpy.run_path(str(EXAMPLES / "gpt.py"), run_name="__main__")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ticket of a small GPT."""
    path = tmp_path_factory.mktemp("gpt") / "small.tombola"
    gpt("search", "--steps", "10", "--width", "16", "--layers", "1", "--out", str(path))
    return path


def test_own_loop_reads_digits_from_its_ticket(tmp_path: Path) -> None:
    printed = run("own_loop.py", cwd=tmp_path)  # which asserts that the outputs agree
    accuracy = re.fullmatch(r"test accuracy (\d\.\d+)\n", printed)
    assert accuracy is not None, printed
    assert float(accuracy[1]) > 0.9
    tombola.Ticket.load(tmp_path / "digits.tombola").verify()


def test_own_loop_is_short_and_checks_what_it_shows() -> None:
    text = (EXAMPLES / "own_loop.py").read_text()
    assert len(text.splitlines()) <= 40
    assert "assert torch.equal(fresh(" in text


def test_a_small_gpt_knows_more_than_how_often_bytes_occur(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gpt.tombola"
    gpt("search", "--steps", "100", "--width", "32", "--layers", "1", "--out", str(path))
    printed = capsys.readouterr().out
    unigram, ticket = (float(number) for number in re.findall(r"(\S+) bits per byte$", printed, re.M))
    assert 4 < unigram < 5
    assert ticket < unigram - 0.25
    loaded = tombola.Ticket.load(path)
    loaded.verify()
    assert f"{loaded.nbytes:,} bytes" in printed
    assert loaded.density == pytest.approx(0.5, abs=1e-3)


def test_the_same_options_give_the_same_file(small: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.tombola"
    gpt("search", "--steps", "10", "--width", "16", "--layers", "1", "--out", str(again), "--validate")
    assert again.read_bytes() != small.read_bytes()  # it saw another text
    gpt("search", "--steps", "10", "--width", "16", "--layers", "1", "--out", str(again))
    assert again.read_bytes() == small.read_bytes()


def test_a_sample_is_a_function_of_the_ticket_and_the_seed(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "alone.tombola").write_bytes(small.read_bytes())
    first = run("gpt.py", "sample", "alone.tombola", "--length", "80", "--seed", "3", cwd=tmp_path)
    assert len(first) > 40
    gpt("sample", str(small), "--length", "80", "--seed", "3")
    assert capsys.readouterr().out == first
    gpt("sample", str(small), "--length", "80", "--seed", "4")
    assert capsys.readouterr().out != first


def test_a_sample_of_another_ticket_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "linear.tombola"
    for said in ({}, {"model": "gpt", "width": "many", "layers": "2"}):
        tombola.EdgePopup(tombola.Source(nn.Linear(4, 2))).ticket(metadata=said).save(path)
        with pytest.raises(SystemExit) as refused:
            gpt("sample", str(path))
        assert refused.value.code == f"gpt.py: {path}: expected a ticket written by gpt.py, got another"
    with pytest.raises(SystemExit) as refused:
        gpt("sample", str(tmp_path / "missing"))
    assert "No such file" in str(refused.value.code)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["search", "--width", "30"], "expected a multiple of 4, got 30"),
        (["search", "--steps", "0"], "invalid positive value: '0'"),
        (["sample", "a.tombola", "--temperature", "0"], "invalid temperature value: '0'"),
    ],
)
def test_numbers_that_cannot_be_are_refused(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        gpt(*arguments)
    assert said in capsys.readouterr().err
