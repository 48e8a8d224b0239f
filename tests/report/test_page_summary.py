"""What the page is told: whole for few runs, bounded for many."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from report_helpers import write_runs

from commands import finished, result_of
from tombola.report.run import Run
from tombola.report.summary import BARS, POINTS, decimate, summarise


def tensor(generations: list[list[int]] | None) -> dict[str, object]:
    picture = {"rows": 1, "columns": 8, "kept": "AA==", "alive": None}
    counts = {"weights": 8, "alive": 8, "kept": 4}
    return {"name": "w", "shape": [8], **counts, "generations": generations, "picture": picture}


def test_settings_that_all_share_are_told_once(tmp_path: Path) -> None:
    runs = [Run.read(path, path.name) for path in sorted(write_runs(tmp_path / "all", 4, 2).iterdir())]
    told = summarise(runs, ["one line"])
    assert told["common"]["model"] == "mlp"
    assert "seed" not in told["common"]
    assert [row["settings"] for row in told["runs"]] == [
        {"seed": seed, "method": method} for method in ("iterand", "edge-popup") for seed in (0, 1)
    ]
    assert [row["group"] for row in told["runs"]] == [0, 0, 1, 1]
    assert [each["members"] for each in told["groups"]] == [[0, 1], [2, 3]]
    assert told["damaged"] == ["one line"]


def test_figures_are_the_results() -> None:
    (row,) = summarise([Run.read(finished(), "name")], [])["runs"]
    result = result_of(finished())
    for name in ("density", "seed", "data", "model", "width", "method"):
        assert row[name] == result[name]
    assert row["bytes"] == result["ticket_bytes"]
    assert abs(row["test_accuracy"] - result["test_accuracy"]) < 1e-6


def test_whole_numbers_beyond_a_browsers_are_texts() -> None:
    run = Run.read(finished(), "name")
    (row,) = summarise([replace(run, result={**result_of(finished()), "seed": 2**64 - 1})], [])["runs"]
    assert row["seed"] == "18446744073709551615"


def test_layers_are_left_out_where_there_is_no_room() -> None:
    run = replace(Run.read(finished(), "name"), tensors=[tensor([[0, 4]])])
    told = summarise([run] * 5, [], tables=3 * len(str(["w", [8], 8, 8, 4])), pictures=8)
    layers = [row["layers"] for row in told["runs"]]
    assert [each["left_out"] for each in layers] == [False, False, False, True, True]
    assert [each["pictures"] is not None for each in layers[:3]] == [True, True, False]
    assert (told["without_layers"], told["without_pictures"]) == (2, 1)


def test_generations_of_all_layers_in_few_bars() -> None:
    run = Run.read(finished(), "name")

    def bars(*generations: list[list[int]] | None) -> object:
        tensors = [tensor(each) for each in generations]
        (row,) = summarise([replace(run, tensors=tensors)], [])["runs"]
        return row["layers"]["generations"]

    assert bars([[0, 4], [2, 1]], [[0, 3]]) == [[0, 0, 7], [1, 1, 0], [2, 2, 1]]
    assert bars(None, None) is None
    assert bars([]) == []
    many = bars([[number, 1] for number in range(1000)])
    assert isinstance(many, list)
    assert len(many) == BARS
    assert many[1] == [25, 49, 25]
    assert sum(number for _, _, number in many) == 1000


def test_curves_keep_their_ends() -> None:
    assert decimate([1, 2, 3]) == [1, 2, 3]
    some = decimate(list(range(1000)))
    assert (len(some), some[0], some[-1]) == (POINTS, 0, 999)
    assert some == sorted(set(some))
