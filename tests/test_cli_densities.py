"""Sparse sources, rules and annealing through the command; and the table of densities."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commands import TINY, refusal, tombola, write_module
from tombola import Ticket, densities

RULES = ("uniform", "erk", "pyramidal", "balanced")


@pytest.mark.parametrize("rule", RULES)
def test_a_ticket_in_a_sparse_source(rule: str, tmp_path: Path) -> None:
    options = ["--source-density", "0.5", "--rule", rule, "--density", "0.3"]
    ended = tombola("search", *TINY, *options, "--out", tmp_path / "run")
    assert ended.status == 0, ended
    ticket = Ticket.load(tmp_path / "run" / "ticket.tombola")
    ticket.verify()
    shapes = {name: mask.shape for name, mask in ticket.mask.items()}
    asked = densities(shapes, 0.5, rule)
    for tensor in ticket.recipe.tensors:
        alive = ticket.recipe.alive(tensor)
        spread = 6 * math.sqrt(asked[tensor.name] * (1 - asked[tensor.name]) / tensor.size)
        assert abs(alive.mean() - asked[tensor.name]) <= spread
        assert not np.any(ticket.mask[tensor.name] & ~alive)
        assert ticket.mask[tensor.name].sum() == round(0.3 / 0.5 * alive.sum())


def test_exact_sources_and_layers_kept_dense(tmp_path: Path) -> None:
    options = ["--source-density", "0.6", "--rule", "erk", "--exact", "--dense-last", "--density", "0.3"]
    assert tombola("search", *TINY, *options, "--out", tmp_path / "run").status == 0
    ticket = Ticket.load(tmp_path / "run" / "ticket.tombola")
    shapes = {name: mask.shape for name, mask in ticket.mask.items()}
    asked = densities(shapes, 0.6, "erk", dense_last=True)
    counts = {tensor.name: int(ticket.recipe.alive(tensor).sum()) for tensor in ticket.recipe.tensors}
    assert counts == {name: round(asked[name] * math.prod(shape)) for name, shape in shapes.items()}


def test_a_ticket_rule(tmp_path: Path) -> None:
    options = ["--ticket-rule", "balanced", "--density", "0.2"]
    assert tombola("search", *TINY, *options, "--out", tmp_path / "run").status == 0
    mask = Ticket.load(tmp_path / "run" / "ticket.tombola").mask
    asked = densities({name: array.shape for name, array in mask.items()}, 0.2, "balanced")
    assert {n: int(a.sum()) for n, a in mask.items()} == {
        n: round(asked[n] * a.size) for n, a in mask.items()
    }


@pytest.mark.parametrize("epochs", [None, "2"])
def test_annealing_ends_with_the_density_asked_for(epochs: str | None, tmp_path: Path) -> None:
    options = ["--source-density", "0.9", "--density", "0.2", "--anneal", "4"]
    options += [] if epochs is None else ["--anneal-epochs", epochs]
    ended = tombola("search", *TINY, *options, "--out", tmp_path / "run", "--json")
    assert ended.status == 0, ended
    result = json.loads(ended.out)
    assert result["density"] == pytest.approx(0.2, abs=0.01)
    if epochs is not None:
        assert result["best_epoch"] == 2  # the only one that ended with that density


def test_annealing_is_no_plain_search(tmp_path: Path) -> None:
    for name, options in (("plain", []), ("annealed", ["--anneal", "4"])):
        assert tombola("search", *TINY, "--density", "0.2", *options, "--out", tmp_path / name).status == 0
    files = [(tmp_path / name / "ticket.tombola").read_bytes() for name in ("plain", "annealed")]
    assert Ticket.load(tmp_path / "plain" / "ticket.tombola").digest not in str(files[1])


def test_the_table_of_densities(tmp_path: Path) -> None:
    options = ["--model", "conv2", "--width", "0.1", "--density", "0.3"]
    ended = tombola("bounds", "--densities", *options, "--png", tmp_path / "d.png")
    assert (ended.status, ended.err) == (0, "")
    # A tenth of 64 channels and 256 units; pooling leaves 16×16 of 32×32 pixels.
    shapes = {
        "conv1.weight": (6, 3, 3, 3),
        "conv2.weight": (6, 6, 3, 3),
        "fc1.weight": (26, 6 * 16 * 16),
        "fc2.weight": (26, 26),
        "fc3.weight": (10, 26),
    }
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    asked = {rule: densities(shapes, 0.3, rule) for rule in RULES}
    lines = [line.split() for line in ended.out.splitlines()]
    assert ["layer", "weights", *asked] in lines
    for name, size in sizes.items():
        assert [name, f"{size:,}", *(f"{found[name]:.4g}" for found in asked.values())] in lines
    assert ["all", f"{sum(sizes.values()):,}", *["0.3"] * len(asked)] in lines
    with Image.open(tmp_path / "d.png") as image:
        assert image.format == "PNG"
        assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 20
    said = json.loads(tombola("bounds", "--densities", *options, "--json").out)
    assert said["weights"] == sizes
    assert said["densities"] == asked
    for found in said["densities"].values():
        total = sum(said["weights"][name] * value for name, value in found.items())
        assert total == pytest.approx(0.3 * sum(said["weights"].values()))


@pytest.mark.parametrize("kept", [("first",), ("last",), ("depthwise",), ("first", "last")])
def test_a_table_with_layers_kept_dense(
    kept: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """
from torch import nn
def build(width, in_channels, classes):
    depthwise = nn.Conv2d(8, 8, 3, groups=8)
    return nn.Sequential(nn.Conv2d(in_channels, 8, 3), depthwise, nn.Conv2d(8, 40, 3), nn.Linear(40, classes))
"""
    write_module(monkeypatch, tmp_path, "own_" + "_".join(kept), text)
    shapes = {
        "0.weight": (8, 3, 3, 3),
        "1.weight": (8, 1, 3, 3),
        "2.weight": (40, 8, 3, 3),
        "3.weight": (10, 40),
    }
    options = ("--model", f"own_{'_'.join(kept)}:build", *(f"--dense-{name}" for name in kept))
    said = json.loads(tombola("bounds", "--densities", *options, "--json").out)
    whole = {f"dense_{name}": True for name in kept}
    assert said["densities"] == {rule: densities(shapes, 0.5, rule, **whole) for rule in RULES}
    dense = {"first": "0.weight", "depthwise": "1.weight", "last": "3.weight"}
    for found in said["densities"].values():
        assert all(found[dense[name]] == 1.0 for name in kept)
        assert sum(said["weights"][name] * value for name, value in found.items()) == pytest.approx(
            0.5 * sum(said["weights"].values())
        )


def test_a_table_takes_no_memory_for_the_model() -> None:
    ended = tombola("bounds", "--densities", "--model", "mlp", "--width", "1e6", "--json")
    assert (ended.status, ended.err) == (0, "")
    assert json.loads(ended.out)["weights"]["fc2.weight"] == 256_000_000**2
    vast = ("bounds", "--densities", "--model", "mlp", "--width", "1e12")
    assert "model 'mlp' cannot be built with width 1e+12: " in refusal(*vast)


def test_the_table_of_a_model_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = """
import torch
def build(width, in_channels, classes):
    model = torch.nn.Sequential(torch.nn.Linear(in_channels, 7), torch.nn.Linear(7, classes))
    assert model[0].weight.abs().sum().item() > 0
    return model
"""
    write_module(monkeypatch, tmp_path, "own_for_bounds", text)
    said = json.loads(tombola("bounds", "--densities", "--model", "own_for_bounds:build", "--json").out)
    assert said["weights"] == {"0.weight": 21, "1.weight": 70}


def test_bad_tables() -> None:
    for option in (["--measure"], ["--sizes", "3,2"]):
        assert "--densities shows a model's layers" in refusal("bounds", "--densities", *option)
    assert "density is the fraction of weights kept" in refusal("bounds", "--densities", "--density", "2")
    assert "unknown model" in refusal("bounds", "--densities", "--model", "conv66")
    sparse = ("--densities", "--density", "0.0001", "--dense-first")
    assert "but the layers kept dense have" in refusal("bounds", *sparse)
