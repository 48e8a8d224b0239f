"""The theorems' widths and the trials beside them, through the command."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commands import WITHOUT_TORCH, python, refusal, tombola
from tombola.theory.bounds import practical_candidates, subset_sum_candidates
from tombola.theory.measurements import measure
from tombola.theory.widths import facts_of_sizes, required_widths

SMALL = ("--sizes", "4,3,2", "--density", "0.2", "--error", "0.1", "--delta", "0.01")
FEW = ("--trials", "100", "--seed", "7")


def test_the_table_of_widths() -> None:
    ended = tombola("bounds", *SMALL)
    assert (ended.status, ended.err) == (0, "")
    lines = [line.split() for line in ended.out.splitlines()]
    head = ["layer", "neurons", "tolerance", "2L", "2L,", "ER", "L+1", "L+1,", "ER"]
    assert [*head, "redraw,", "dense", "redraws", "least"] in lines
    for number, row in enumerate(required_widths(facts_of_sizes([4, 3, 2]), 0.2, 0.1, 0.01)):
        counts = (row.two_layers_dense, row.two_layers, row.one_extra_layer_dense, row.one_extra_layer)
        cells = [str(number), str(row.neurons), f"{row.tolerance:.3g}", *(f"{count:,}" for count in counts)]
        assert [*cells, str(row.redraw_dense), f"{row.redraws:.3g}", str(row.least)] in lines
    theorem, practical = subset_sum_candidates(0.01, 0.01, 0.2), practical_candidates(0.01, 0.2)
    assert ["0.01", str(theorem), str(practical)] in lines
    assert "measured" not in ended.out


def test_widths_as_json() -> None:
    said = json.loads(tombola("bounds", *SMALL, "--constant", "3", "--json").out)
    rows = required_widths(facts_of_sizes([4, 3, 2]), 0.2, 0.1, 0.01, constant=3)
    assert said["widths"] == [asdict(row) for row in rows]
    assert (said["sizes"], said["constant"], said["delta"]) == ([4, 3, 2], 3, 0.01)
    assert "measured" not in said
    default = json.loads(tombola("bounds", "--json").out)
    assert default["sizes"] == [784, 300, 100, 10]
    assert default["constant"] == pytest.approx(1 / math.log(2))


def test_what_is_measured(tmp_path: Path) -> None:
    ended = tombola("bounds", *SMALL, "--measure", *FEW, "--png", tmp_path / "b.png")
    assert (ended.status, ended.err) == (0, "")
    measured = measure(100, 7)
    said = json.loads(tombola("bounds", *SMALL, "--measure", *FEW, "--json").out)
    assert said["measured"] == json.loads(json.dumps(measured))
    lines = [line.split() for line in ended.out.splitlines()]
    for row in measured["candidates"]:
        low, high = ("-" if end is None else str(end) for end in row["candidates"][1:])
        start = [f"{row['density']:.3g}", str(row["candidates"][0]), low, "…", high]
        assert any(line[:5] == start for line in lines)
    for row in measured["errors"]:
        assert any(f"{row['slope'][0]:.4g}" in line for line in lines)
    for fit in measured["laws"]:
        assert any(line[0] == fit["law"] and f"{fit['scale'][0]:.4g}" in line for line in lines if line)
    for row in measured["redraws"]["rows"]:
        assert any(
            f"{row['redraws'][0]:.4g}" in line and f"{row['greatest'][0]:.4g}" in line for line in lines
        )
    with Image.open(tmp_path / "b.png") as image:
        assert image.format == "PNG"
        assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 20


def test_no_torch_is_needed(tmp_path: Path) -> None:
    ended = python(WITHOUT_TORCH, "bounds", "--measure", *FEW, "--json", cwd=tmp_path)
    assert (ended.status, ended.err) == (0, "")
    refused = python(WITHOUT_TORCH, "bounds", "--densities", cwd=tmp_path)
    assert refused.status == 2
    assert "building a model needs packages that are not installed" in refused.complaint


def test_measuring_without_scipy(tmp_path: Path) -> None:
    code = WITHOUT_TORCH.replace('"torch"', '"scipy"').replace("'torch'", "'scipy'")
    refused = python(code, "bounds", "--measure", *FEW, cwd=tmp_path)
    assert refused.status == 2
    assert "pip install 'tombola[theory]'" in refused.complaint
    assert python(code, "bounds", cwd=tmp_path).status == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--sizes", "4,x"), "--sizes is the neurons of each layer, such as 784,300,100,10, inputs first"),
        (("--sizes", ""), "--sizes is the neurons of each layer"),
        (("--sizes", "4"), "sizes must be at least two numbers of at least 1, got [4]"),
        (("--sizes", "4,0,2"), "sizes must be at least two numbers of at least 1"),
        (("--density", "0"), "density is the fraction of weights kept"),
        (("--density", "nan"), "density is the fraction of weights kept"),
        (("--error", "0"), "error must be finite and above 0, got 0.0"),
        (("--error", "inf"), "error must be finite and above 0, got inf"),
        (("--delta", "1"), "delta must be in (0, 1), got 1.0"),
        (("--constant", "-1"), "constant must be finite and above 0, got -1.0"),
        (("--constant", "1e308"), "the candidates needed are more than 1e+300"),
        (("--density", "1e-300"), "the candidates needed are more than 1e+300"),
        (("--sizes", ",".join(["1000"] * 100)), "the redraws needed are more than 1e+300"),
        (("--measure", "--trials", "99"), "trials must be in [100, 50,000], got 99"),
        (("--measure", "--seed", "-1"), "seed must be an integer in [0, 2^64), got -1"),
        (("--trials", "500"), "--trials and --seed are of what is measured: give --measure"),
        (("--seed", "-1"), "--trials and --seed are of what is measured: give --measure"),
        (("--densities", "--error", "0.5"), "--densities shows a model's layers: it goes without"),
        (("--densities", "--trials", "500"), "--densities shows a model's layers: it goes without"),
        (("--png", "b.png"), "--png draws what is measured: give --measure, or --densities"),
        (("--model", "conv2"), "the options of a model go with --densities; widths are of --sizes"),
        (("--dense-first",), "the options of a model go with --densities; widths are of --sizes"),
        (("--dense-last",), "the options of a model go with --densities"),
        (("--dense-depthwise",), "the options of a model go with --densities"),
        (("--sizes", "4,2", "--image-size", "8"), "the options of a model go with --densities"),
    ],
)
def test_bad_options(options: tuple[str, ...], said: str) -> None:
    assert said in refusal("bounds", *options)


def test_a_picture_that_cannot_be_written(tmp_path: Path) -> None:
    ended = tombola("bounds", "--measure", *FEW, "--png", tmp_path / "missing" / "b.png")
    assert ended.status == 2
    assert ended.out == ""
    assert "missing" in ended.complaint
