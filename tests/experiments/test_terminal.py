"""What a run, and a sweep, leave on a real terminal, and what they show there meanwhile."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from terminal_helpers import record

from commands import TINY, result_of

# Long enough for a bar to be drawn a few times, however fast the machine is.
STEPS = ("--batch-size", "4")
SEARCH = ("search", *TINY, *STEPS, "--out", "r")
LONG = ("search", *TINY, "--epochs", "1000", "--out", "r")
EPOCH = r"epoch +{}/2  loss \d\.\d{{4}}  train +\d+\.\d %"
VALIDATION = r"  validation +\d+\.\d %"
# One line for every value of the result, each once.
RESULT = r"(test accuracy|validation accuracy|best epoch|method|density|source density|weights|ticket bytes|"
RESULT += (
    r"bits per weight|digest|seconds|epochs|seed|data|model|width|precision|device|tombola|folder)  +\S.*"
)
WIDE_BAR = r"epoch [12]/2 [━╸╺ ]+ loss \d\.\d{3}  train \d+\.\d %  [\d,]+ examples/s \d:\d\d:\d\d"
NARROW_BAR = r"epoch [12]/2 loss \d\.\d\d train \d+ %"


def matching(pattern: str, lines: list[str]) -> list[str]:
    return [line for line in lines if re.fullmatch(pattern, line)]


def test_a_search_at_80_columns(tmp_path: Path) -> None:
    shown = record(SEARCH, tmp_path)
    assert (shown.status, shown.cursor_is_hidden) == (0, False)
    first, second, *rest = shown.final()
    assert re.fullmatch(EPOCH.format(1) + VALIDATION, first)
    assert re.fullmatch(EPOCH.format(2) + VALIDATION, second)
    assert f"{100 * result_of(tmp_path / 'r')['validation_accuracy']:.1f} %" in first + second
    digest = result_of(tmp_path / "r")["digest"]
    whole = "\n".join(rest)
    assert digest in whole.replace("\n", "")  # longer than a line
    names = [line for line in rest if not re.fullmatch(r"[0-9a-f]+", line)]
    assert len(names) == len(matching(RESULT, names)) == len({line.split("  ")[0] for line in names})
    assert names[-1].split("  ")[-1].strip() == "r"
    # While it ran, there was a bar below the lines, and there never were two.
    bars = [matching(WIDE_BAR, moment) for moment in shown.moments()]
    assert any(bars)
    assert max(len(bar) for bar in bars) == 1


def test_training_at_40_columns(tmp_path: Path) -> None:
    shown = record(("train", *TINY, *STEPS, "--out", "a-folder-of-some-length"), tmp_path, columns=40)
    assert (shown.status, shown.cursor_is_hidden) == (0, False)
    lines = shown.final()
    for number in (1, 2):  # broken between two figures, never within one
        assert re.fullmatch(EPOCH.format(number), lines[2 * number - 2])
        assert re.fullmatch(VALIDATION, lines[2 * number - 1])
    assert "folder               a-folder-of-some-le" in lines
    assert "".join(lines).endswith("a-folder-of-some-length")
    bars = [matching(NARROW_BAR, moment) for moment in shown.moments()]
    assert any(bars)
    assert max(len(bar) for bar in bars) == 1


@pytest.mark.parametrize("columns", [80, 40])
def test_ctrl_c_takes_the_bar_away(tmp_path: Path, columns: int) -> None:
    shown = record(LONG, tmp_path, columns, interrupt_at=r"epoch \d+/1000")
    assert (shown.status, shown.cursor_is_hidden) == (130, False)
    told = [
        line for line in shown.final() if not re.match(r"epoch +\d+/1000  loss|  (train|validation)", line)
    ]
    said = r"tombola: interrupted in epoch \d+, step \d+; go on with --resume --out r"
    assert re.fullmatch(said, "".join(line.ljust(columns) for line in told).rstrip())  # and no ^C
    epochs = [line for line in shown.final() if line.startswith("epoch")]
    assert [int(line.split("/")[0].split()[1]) for line in epochs] == list(range(1, len(epochs) + 1))


def test_a_dumb_terminal_gets_plain_lines(tmp_path: Path) -> None:
    shown = record(SEARCH, tmp_path, environment={"TERM": "dumb"})
    assert shown.status == 0
    assert b"\x1b" not in shown.data
    assert shown.data.count(b"\r") == shown.data.count(b"\r\n")
    lines = shown.final()
    # The rest would not fit, and is indented.
    assert re.fullmatch(EPOCH.format(1) + VALIDATION + r"  [\d,]+ examples/s", lines[0])
    assert re.fullmatch(r"  \d:\d\d:\d\d left", lines[1])


def test_no_color_means_no_colour(tmp_path: Path) -> None:
    shown = record(SEARCH, tmp_path, environment={"NO_COLOR": "1"})
    assert shown.status == 0
    codes = set(re.findall(rb"\x1b\[[0-9;?]*([A-Za-z])", shown.data))
    assert codes == {b"h", b"l", b"A", b"K"}  # the cursor, and lines taken back
    assert any(matching(WIDE_BAR, moment) for moment in shown.moments())
    assert shown.final()[2].startswith("test accuracy")


SWEEP = """
seeds = 2
[options]
model = "mlp"
width = 0.1
epochs = 2
batch_size = 4
lr = 0.1
precision = "float32"
"""


def sweep(folder: Path, text: str = SWEEP) -> tuple[str, ...]:
    (folder / "s.toml").write_text(text)
    return ("sweep", "s.toml", "--engine", "here", "--out", "runs")


def test_a_sweep_at_80_columns(tmp_path: Path) -> None:
    shown = record(sweep(tmp_path), tmp_path)
    assert (shown.status, shown.cursor_is_hidden) == (0, False)
    head, first, second, title, *rest = shown.final()
    assert head == "tombola: 2 runs in runs, one after another in this process"
    assert re.fullmatch(r"1/2 seed=0: test \d+\.\d\d %, \d+\.\d s", first)
    assert re.fullmatch(r"2/2 seed=1: test \d+\.\d\d %, \d+\.\d s", second)
    assert title.strip() == "Mean ± standard deviation over seeds"
    assert len(matching(r" all +2/2 .+ ± .+ %.*", rest)) == 1
    assert rest[-1] == "results  runs/results.csv"
    tables = [
        matching(r"  seed=[01] +[012]/2 +(-|\d+\.\d\d %) +\d:\d\d:\d\d", now) for now in shown.moments()
    ]
    assert any(table and "seed=0" in table[0] for table in tables)
    assert any(table and "seed=1" in table[0] for table in tables)
    assert max(len(table) for table in tables) == 1
    assert all(sum("runs finished" in line for line in now) <= 1 for now in shown.moments())


def test_a_sweep_at_40_columns(tmp_path: Path) -> None:
    shown = record(sweep(tmp_path, SWEEP + '[grid]\nmethod = ["edge-popup"]\n'), tmp_path, columns=40)
    assert (shown.status, shown.cursor_is_hidden) == (0, False)
    lines = shown.final()
    for number in (1, 2):
        place = lines.index(f"{number}/2 method=edge-popup,seed={number - 1}:")
        assert re.fullmatch(r"  test \d+\.\d\d %, \d+\.\d s", lines[place + 1])
    assert matching(r"test accuracy  \d+\.\d\d ± \d+\.\d\d %", lines)  # no room for a table
    assert lines[-1] == "results  runs/results.csv"
    moments = list(shown.moments())
    assert any(matching(r"  method=edge-popup,seed=0 +0/2", moment) for moment in moments)
    # Broken between words, and never cut off.
    assert any(matching(r"1 of 2 runs finished, \d:\d\d:\d\d gone,", moment) for moment in moments)
    assert any(matching(r"about \d:\d\d:\d\d left", moment) for moment in moments)


def test_ctrl_c_takes_the_table_of_a_sweep_away(tmp_path: Path) -> None:
    long = sweep(tmp_path, SWEEP.replace("epochs = 2", "epochs = 1000"))
    shown = record(long, tmp_path, interrupt_at="  seed=0")
    assert (shown.status, shown.cursor_is_hidden) == (130, False)
    assert shown.final() == [
        "tombola: 2 runs in runs, one after another in this process",
        "seed=0: stopped",
        "tombola: interrupted with 0 of 2 runs finished; the same command goes on",
    ]
