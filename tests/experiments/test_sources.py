"""From options to a source: rules, masks, the scale of the weights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

import tombola
from commands import refusal
from tombola import ArgumentError, Source, densities
from tombola.experiments.learner import SearchLearner
from tombola.experiments.search_config import SearchConfig
from tombola.experiments.source_config import SourceConfig
from tombola.experiments.sources import fan_densities, make_source, other_seed, read_mask
from tombola.experiments.train_config import TrainConfig


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(80, 60), nn.ReLU(), nn.Linear(60, 40), nn.ReLU(), nn.Linear(40, 5))


SHAPES = {"0.weight": (60, 80), "2.weight": (40, 60), "4.weight": (5, 40)}


@pytest.mark.parametrize("rule", ["uniform", "erk", "balanced"])
def test_the_scale_of_each_layer_goes_by_what_it_keeps(rule: str) -> None:
    config = SearchConfig(source_density=0.5, rule=rule, density=0.3, fan_scaling=True)
    found = fan_densities(network(), config, config.density, None)
    spread = densities(SHAPES, 0.5, rule)
    assert found == pytest.approx({name: 0.6 * p for name, p in spread.items()})
    search = SearchLearner(network(), config).search
    for name, mask in search.mask.items():
        assert mask.mean() == pytest.approx(found[name], abs=0.1)
        magnitude = np.abs(search.source.weights()[name]).max()
        assert magnitude == pytest.approx(np.sqrt(2 / SHAPES[name][1] / found[name]), rel=1e-6)


def test_the_scale_of_a_ticket_with_a_rule_of_its_own() -> None:
    config = SearchConfig(density=0.3, ticket_rule="erk", fan_scaling=True)
    assert fan_densities(network(), config, 0.3, None) == densities(SHAPES, 0.3, "erk")


def test_the_scale_in_a_source_of_a_given_mask() -> None:
    mask = {name: np.zeros(shape, bool) for name, shape in SHAPES.items()}
    mask["0.weight"][:30], mask["2.weight"][:] = True, True
    kept = 2400 + 2400
    found = fan_densities(network(), SourceConfig(), 0.5, tombola.Mask(mask))
    share = 0.5 * (4800 + 2400 + 200) / kept
    assert found == pytest.approx({"0.weight": 0.5 * share, "2.weight": min(1.0, share), "4.weight": 1.0})


def test_a_source_of_a_mask_file_or_a_ticket(tmp_path: Path) -> None:
    source = Source(network(), seed=3, density=0.5)
    ticket = tombola.EdgePopup(source, 0.2).ticket()
    ticket.save(tmp_path / "t.tombola")
    source.mask.save(tmp_path / "m.safetensors")
    assert read_mask(tmp_path / "t.tombola") == ticket.mask
    config = SourceConfig(seed=7, init="uniform", source_mask=tmp_path / "m.safetensors")
    made = make_source(network(), config, None)
    assert made.mask == source.mask
    assert (made.seed, made.recipe.init) == (7, "uniform")


@pytest.mark.parametrize("name", ["mask.safetensors", "ticket.tombola"])
def test_a_folder_of_a_run_is_no_mask_but_holds_one(name: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="is a folder: expected a mask.safetensors or a ticket"):
        read_mask(tmp_path)
    (tmp_path / name).touch()
    with pytest.raises(ArgumentError) as caught:
        read_mask(tmp_path)
    assert str(caught.value) == f"{tmp_path} is a folder: give {tmp_path / name}"


@pytest.mark.parametrize(
    "options", [("search", "--source-mask"), ("train", "--method", "static", "--ticket")]
)
def test_commands_say_so(options: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "mask.safetensors").touch()
    line = refusal(*options, tmp_path, "--out", tmp_path / "run")
    assert line == f"{tmp_path} is a folder: give {tmp_path / 'mask.safetensors'}"


def test_layers_kept_dense() -> None:
    config = SourceConfig(source_density=0.5, rule="erk", dense_last=True)
    made = make_source(network(), config, None)
    assert made.densities == densities(SHAPES, 0.5, "erk", dense_last=True)


def test_another_seed_is_another() -> None:
    seeds = [other_seed(seed) for seed in range(100)]
    assert len({*seeds, *range(100)}) == 200
    assert seeds == [other_seed(seed) for seed in range(100)]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (SearchConfig(source_density=1.5), r"source_density is the fraction .* got 1.5"),
        (SearchConfig(density=0.0), r"^density is the fraction .* got 0.0"),
        (SearchConfig(rule="erdos"), "unknown rule 'erdos'"),
        (SearchConfig(ticket_rule="ek"), "unknown ticket_rule 'ek': did you mean 'erk'"),
        (SearchConfig(fan_scaling=True, scope="global"), "fan_scaling needs each layer's density beforehand"),
        (
            SearchConfig(source_mask=Path("m"), exact=True),
            "--source-mask says what the source is: leave out --exact",
        ),
        (
            SearchConfig(source_mask=Path("m"), source_density=0.5, dense_first=True),
            "--source-mask says what the source is: leave out --dense-first, --source-density",
        ),
        (TrainConfig(density=0.5), "method dense trains every weight: give --method static"),
        (TrainConfig(source_density=0.5), "method dense trains every weight"),
        (TrainConfig(source_mask=Path("m")), "method dense trains every weight"),
        (TrainConfig(method="rigl"), "method rigl needs --density"),
        (TrainConfig(method="rig"), "unknown method 'rig': did you mean 'rigl'"),
        (TrainConfig(method="static", density=1.5), "density is the fraction"),
        (TrainConfig(reinit=True), "--reinit and --shuffle are of a ticket"),
        (TrainConfig(method="static", shuffle=True), "--reinit and --shuffle are of a ticket"),
        (
            TrainConfig(ticket=Path("t")),
            "--ticket says which weights to train: give --method static, got dense",
        ),
        (TrainConfig(method="static", ticket=Path("t"), density=0.5), "give no density and no source"),
        (
            TrainConfig(method="static", ticket=Path("t"), source_mask=Path("m")),
            "give no density and no source",
        ),
        (TrainConfig(method="static", ticket=Path("t"), rule="erk"), "give no density and no source"),
        (TrainConfig(fan_scaling=True), "fan_scaling is for sparse training, not for method dense"),
        (
            TrainConfig(method="rigl", density=0.5, scope="global"),
            "--scope is for method imp, .*, not for rigl",
        ),
        (TrainConfig(method="synflow", density=0.5, ticket_rule="erk"), "--ticket-rule is for method static"),
        (
            TrainConfig(method="set", density=0.5, accumulate=9),
            "--accumulate is for method rigl, not for set",
        ),
        (TrainConfig(rounds=3), "--rounds is for method imp, not for dense"),
        (TrainConfig(method="static", rewind="optimizer"), "--rewind is for method imp, not for static"),
        (TrainConfig(layout="sparse"), "--layout is for method static, .*, not for dense"),
        (TrainConfig(method="snip", density=0.5, fan_scaling=True), "not with method snip, which ranks all"),
        (
            TrainConfig(method="magnitude", density=0.5, fan_scaling=True, scope="global"),
            "not with method magnitude, which ranks all",
        ),
        (TrainConfig(method="rigl", density=0.5, drop=1.0), r"drop must be in \(0, 1\), got 1.0"),
        (TrainConfig(method="rigl", density=0.5, update_end=0.0), r"update_end must be in \(0, 1\], got 0.0"),
        (TrainConfig(period=0), "period must be at least 1"),
        (TrainConfig(validation=1.0), r"validation is the fraction held out, in \[0, 1\), got 1.0"),
        (SearchConfig(validation=-0.1), r"validation is the fraction held out, in \[0, 1\), got -0.1"),
        (SearchConfig(threads=1 << 40), "threads must be at most 65536, got 1099511627776"),
        (
            TrainConfig(method="rigl", density=0.5, period=10, accumulate=20),
            "accumulate must be at most period, 10, got 20",
        ),
        (
            TrainConfig(method="grasp", density=0.5, ticket_rule="erk"),
            "method grasp ranks all weights together: give --scope layer, too",
        ),
        (SearchConfig(scope="global", ticket_rule="erk"), "--ticket-rule .*: not with scope global"),
        (TrainConfig(accumulate=0), "accumulate must be at least 1"),
        (TrainConfig(rounds=0), "rounds must be at least 1"),
        (TrainConfig(pruning_batches=0), "pruning_batches must be at least 1"),
        (
            TrainConfig(method="imp", density=0.5, epochs=3, rewind_epochs=3),
            "rewind_epochs must be below epochs, 3, got 3",
        ),
    ],
)
def test_options_that_do_not_fit(config: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        config.check()


@pytest.mark.parametrize(
    ("config", "line"),
    [
        (
            SearchConfig(rule="erk", exact=True),
            "--exact, --rule spread the density of the source, which is 1",
        ),
        (TrainConfig(method="rigl", density=0.2, dense_last=True), "--dense-last spread the density .* is 1"),
        (SearchConfig(epochs=2, period=41), "the run has 40 steps and the first redraw would come after 41"),
        (
            SearchConfig(method="edge-popup", period=7),
            "--period is for method iterand, signed-supermask: edge-popup does without",
        ),
        (
            SearchConfig(method="signed-supermask", rate=0.2),
            "--rate is for method iterand: signed-supermask does without",
        ),
        (
            SearchConfig(method="signed-supermask", epochs=1, period=21),
            "the run has 20 steps and the first redraw would come after 21, so there is none",
        ),
        (SearchConfig(epochs=1), "the run has 20 steps and the first redraw would come after 30"),
        (
            TrainConfig(method="imp", density=0.5, rewind="optimizer"),
            "at --rewind-epochs 0 the optimiser has no momentum yet",
        ),
        (
            TrainConfig(method="gradual", density=0.5, fan_scaling=True),
            "method gradual begins with the whole source, which is dense, so --fan-scaling",
        ),
    ],
)
def test_options_that_change_nothing_are_told(config: Any, line: str) -> None:
    config.check()
    (told,) = config.idle_options(20)
    assert re.search(line, told)


@pytest.mark.parametrize(
    "config",
    [
        SearchConfig(source_density=0.5, rule="erk"),
        SearchConfig(epochs=2, period=40),
        SearchConfig(epochs=1, period=None),
        SearchConfig(epochs=1, rate=0.0),
        SearchConfig(epochs=1, method="signed-supermask"),
        TrainConfig(method="imp", density=0.5, rewind="optimizer", rewind_epochs=1),
        TrainConfig(method="imp", density=0.2, fan_scaling=True, source_density=0.5),
        TrainConfig(method="imp", density=0.2, fan_scaling=True, source_mask=Path("mask.safetensors")),
        TrainConfig(),
        TrainConfig(method="static", period=100),  # as the configurations of earlier runs have it
    ],
)
def test_options_that_count(config: Any) -> None:
    config.check()
    assert config.idle_options(20) == []


def test_what_is_ranked_layer_by_layer_can_be_scaled() -> None:
    TrainConfig(method="snip", density=0.5, scope="layer", fan_scaling=True).check()
    TrainConfig(method="rigl", density=0.5, update_end=1.0).check()


def test_words_that_are_not_known() -> None:
    word: Any = "all"
    for options in ({"scope": word}, {"rewind": word}, {"layout": word}):
        name = next(iter(options))
        with pytest.raises(ArgumentError, match=f"unknown {name} 'all'"):
            TrainConfig(**options).check()
