"""Sparse training by the command: its records, its rounds, its resumption, and checks of tickets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from resume_helpers import assert_same, stopped_at

from commands import STEPS, TINY, finished, metrics_of, refusal, result_of, ticket_of, tombola
from tombola import ArgumentError, Mask, Source, Ticket, data, models, sparse
from tombola.experiments.evaluation import evaluate
from tombola.experiments.machine import Machine
from tombola.experiments.sparse_learner import SparseLearner
from tombola.experiments.train_config import TrainConfig

METHODS = {
    "static": ("--source-density", "0.3", "--rule", "erk"),
    "imp": ("--density", "0.3", "--rounds", "2", "--rewind-epochs", "1"),
    "rigl": ("--density", "0.3", "--period", "7", "--accumulate", "3"),
    "set": ("--density", "0.2", "--period", "7", "--source-density", "0.6"),
    "gradual": ("--density", "0.3", "--period", "5"),
    "magnitude": ("--density", "0.3"),
    "random": ("--density", "0.3", "--ticket-rule", "erk"),
    "snip": ("--density", "0.3", "--pruning-batches", "2"),
    "grasp": ("--density", "0.3", "--scope", "layer"),
    "synflow": ("--density", "0.3"),
}


def options(method: str) -> tuple[str, ...]:
    return ("--method", method, *METHODS[method])


def network() -> torch.nn.Module:
    return models.mlp(width=0.1, in_channels=1, classes=10, image_size=8)


@pytest.mark.parametrize("method", METHODS)
def test_what_a_run_leaves(method: str) -> None:
    folder = finished("train", *options(method))
    result, mask = result_of(folder), Mask.load(folder / "mask.safetensors")
    saved = sparse.load(folder / "model.safetensors")
    assert (result["method"], result["check"]) == (method, None)
    assert result["density"] == mask.density == pytest.approx(0.2 if method == "set" else 0.3, abs=0.01)
    assert result["weights"] == mask.total
    assert result["model_bytes"] == (folder / "model.safetensors").stat().st_size
    for name, kept in mask.items():
        assert not saved[name].numpy()[~kept].any()
    plain = network()
    plain.load_state_dict(saved)
    digits = data.load("digits", seed=0, validation=0.1)
    score = evaluate(plain, digits, digits.test, Machine("cpu", "float32", channels_last=True))
    assert score.accuracy == result["test_accuracy"]
    assert metrics_of(folder)[-1]["density"] == mask.density


def test_a_random_sparse_source_is_named(tmp_path: Path) -> None:
    assert result_of(finished("train", *options("static")))["source_density"] == 0.3
    source = Source(network(), seed=0, density=0.3, rule="erk", init="kaiming_uniform")
    assert Mask.load(finished("train", *options("static")) / "mask.safetensors") == source.mask


def test_rounds_go_back_in_the_schedule_of_the_learning_rate() -> None:
    rows = metrics_of(finished("train", *options("imp")))
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert rows[1]["lr"] == rows[2]["lr"] == rows[3]["lr"] < rows[0]["lr"]
    # Two prunings by the same factor, measured before each.
    assert [row["density"] for row in rows] == pytest.approx([1.0, 1.0, 0.3**0.5, 0.3], abs=0.001)
    assert result_of(finished("train", *options("imp")))["best_epoch"] == 4


@pytest.mark.parametrize("method", ["rigl", "gradual", "imp", "set", "snip"])
@pytest.mark.parametrize("at", [5, STEPS + 1, STEPS + 9])
def test_a_training_stopped_at_any_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, at: int
) -> None:
    folder = tmp_path / "run"
    stopped_at(monkeypatch, at, "train", *TINY, *options(method), "--out", folder)
    assert tombola("train", "--resume", "--out", folder).status == 0
    undisturbed = finished("train", *options(method))
    assert_same(folder, undisturbed, "model.safetensors", "mask.safetensors", "config.toml")


@pytest.mark.parametrize("at", [2 * STEPS + 2, 2 * STEPS + 9, 3 * STEPS + 3])
def test_a_later_round_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    folder = tmp_path / "run"
    stopped_at(monkeypatch, at, "train", *TINY, *options("imp"), "--out", folder)
    assert tombola("train", "--resume", "--out", folder).status == 0
    assert_same(folder, finished("train", *options("imp")), "model.safetensors", "mask.safetensors")


def test_kept_weights_alone(tmp_path: Path) -> None:
    dense = finished("train", *options("rigl"))
    packed = finished("train", *options("rigl"), "--layout", "sparse")
    assert result_of(packed)["model_bytes"] < 0.5 * result_of(dense)["model_bytes"]
    first, second = (sparse.load(folder / "model.safetensors") for folder in (dense, packed))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


# Nothing is learnt at this rate: what is saved is what the training began with.
STILL = ("--method", "static", "--epochs", "1", "--lr", "1e-30", "--weight-decay", "0", "--seed", "5")


def began_with(tmp_path: Path, name: str, *checks: str | Path) -> tuple[dict[str, torch.Tensor], Mask, Path]:
    folder = tmp_path / name
    assert tombola("train", *TINY, *STILL, *checks, "--out", folder).status == 0
    return (
        safetensors.torch.load_file(folder / "model.safetensors"),
        Mask.load(folder / "mask.safetensors"),
        folder,
    )


def test_a_strong_ticket_retrained_and_checked(tmp_path: Path) -> None:
    run = finished("search", "--source-density", "0.6", "--density", "0.2", "--rate", "0.5", "--period", "7")
    path, ticket = run / "ticket.tombola", ticket_of(run)
    weights, mask, folder = began_with(tmp_path, "retrain", "--ticket", path)
    assert mask == ticket.mask
    assert result_of(folder)["check"] == "retrain"
    for name, values in ticket.weights().items():
        assert np.array_equal(weights[name].numpy(), values)

    weights, mask, folder = began_with(tmp_path, "reinit", "--ticket", path, "--reinit")
    assert mask == ticket.mask
    assert result_of(folder)["check"] == "reinit"
    for name, values in ticket.weights().items():
        assert not np.array_equal(weights[name].numpy(), values)
        assert np.array_equal(weights[name].numpy() != 0, mask[name])

    weights, mask, folder = began_with(tmp_path, "shuffle", "--ticket", path, "--shuffle")
    assert result_of(folder)["check"] == "shuffle"
    assert mask <= ticket.recipe.mask()
    drawn = {tensor.name: ticket.recipe.initial(tensor) for tensor in ticket.recipe.tensors}
    for name, kept in ticket.mask.items():
        assert mask[name].sum() == kept.sum()
        assert not np.array_equal(mask[name], kept)
        assert np.array_equal(weights[name].numpy(), np.where(mask[name], drawn[name], 0))

    both = began_with(tmp_path, "both", "--ticket", path, "--shuffle", "--reinit")
    assert both[1] == mask
    assert result_of(both[2])["check"] == "reinit and shuffle"


def test_a_weak_ticket_starts_from_its_own_random_weights(tmp_path: Path) -> None:
    """Those of the run's seed and distribution, as they were before it."""
    found = finished("train", *options("imp"), "--seed", "5")
    weights, mask, _ = began_with(tmp_path, "again", "--ticket", found / "mask.safetensors")
    assert mask == Mask.load(found / "mask.safetensors")
    for name, values in Source(network(), 5, "kaiming_uniform").weights().items():
        assert np.array_equal(weights[name].numpy(), np.where(mask[name], values, 0))


def test_a_ticket_with_biases_is_trained_with_them(tmp_path: Path) -> None:
    run = finished("search", "--bias", "--density", "0.4")
    _, mask, _ = began_with(tmp_path, "biased", "--ticket", run / "ticket.tombola")
    assert mask == ticket_of(run).mask


def test_what_training_kept_is_searched_in() -> None:
    found = finished("train", *options("imp"))
    mask = Mask.load(found / "mask.safetensors")
    run = finished("search", "--source-mask", str(found / "mask.safetensors"), "--density", "0.2")
    ticket = ticket_of(run)
    ticket.verify()
    assert {name: mask[name] for name in mask} == {name: mask[name] for name in ticket.mask}
    assert all(not (kept & ~mask[name]).any() for name, kept in ticket.mask.items())
    settings = json.loads(ticket.metadata["settings"])
    assert settings["source_mask"] == Mask({name: mask[name] for name in ticket.mask}).digest
    assert str(found) not in json.dumps(ticket.metadata)
    assert result_of(run)["source_density"] == pytest.approx(0.3, abs=0.01)
    line = refusal("search", "--config", run / "ticket.tombola")
    assert "was found in a source of a mask of its own" in line


def test_a_ticket_is_a_source_too(tmp_path: Path) -> None:
    first = finished("search", "--density", "0.5")
    out = tmp_path / "run"
    ended = tombola(
        "search", *TINY, "--source-mask", first / "ticket.tombola", "--density", "0.2", "--out", out
    )
    assert ended.status == 0
    assert Ticket.load(out / "ticket.tombola").mask <= ticket_of(first).mask
    again = tombola("search", "--resume", "--out", out)  # the path is in config.toml
    assert again.status == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("train", "--method", "rigl"), "method rigl needs --density, the fraction of weights to keep"),
        (("train", "--method", "lottery"), "unknown method 'lottery'"),
        (("train", "--method", "static", "--ticket", "nowhere.tombola"), "nowhere.tombola"),
        (("search", "--source-mask", "nowhere.safetensors"), "nowhere.safetensors"),
    ],
)
def test_refusals(given: tuple[str, ...], said: str) -> None:
    ended = tombola(*given)
    assert ended.status == 2
    assert said in ended.complaint


def test_a_mask_of_another_model(tmp_path: Path) -> None:
    Mask({"fc.weight": np.ones((3, 3), bool)}).save(tmp_path / "m.safetensors")
    assert "mask names 'fc.weight'" in refusal("search", *TINY, "--source-mask", tmp_path / "m.safetensors")


def test_a_table_stopped_and_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows are float32: whoever normalised them in place would see others after a resumption."""
    table = ("--data", "iris", "--batch-size", "8", *options("imp"))
    folder = tmp_path / "run"
    stopped_at(monkeypatch, 40, "train", *TINY, *table, "--out", folder)
    assert tombola("train", "--resume", "--out", folder).status == 0
    assert_same(folder, finished("train", *table), "model.safetensors", "mask.safetensors", "examples.npz")


def built(**given: Any) -> SparseLearner:
    """The training of a configuration, 10 steps an epoch, on examples of its own."""
    generator = torch.Generator().manual_seed(0)
    examples = [
        (torch.randn(8, 1, 8, 8, generator=generator), torch.arange(8))
        for _ in range(given.pop("batches", 3))
    ]
    config = TrainConfig(**{"epochs": 4, "density": 0.3, **given})
    config.check()
    return SparseLearner(network(), config, 10, lambda: iter(examples))


def test_epochs_become_steps() -> None:
    imp = built(method="imp", rewind_epochs=2).training
    assert isinstance(imp, sparse.IMP)
    assert (imp.rewind_step, imp.rounds) == (20, 5)
    for method in ("rigl", "set", "gradual"):
        training = built(method=method, update_end=0.5, period=7).training
        assert isinstance(training, (sparse.RigL, sparse.SET, sparse.Gradual))
        assert (training.end, training.period) == (20, 7)
    assert isinstance(training := built(method="set").training, sparse.SET)
    assert (training.end, training.period) == (30, 3)  # ten updates or so, however short the run
    assert isinstance(training := built(method="gradual", epochs=200).training, sparse.Gradual)
    assert training.period == 100
    rigl = built(method="rigl", drop=0.2, accumulate=3).training
    assert isinstance(rigl, sparse.RigL)
    assert (rigl.fraction, rigl.accumulate) == (0.2, 3)


@pytest.mark.parametrize("method", ["rigl", "set"])
def test_a_mask_that_would_never_change(method: str) -> None:
    with pytest.raises(ArgumentError, match="first after 30 steps, .* end at step 30 of 40: give a smaller"):
        built(method=method, period=30)
    with pytest.raises(ArgumentError, match="first after 1 steps, .* end at step 1 of 10: give more epochs"):
        built(method=method, epochs=1, update_end=0.01)
    built(method=method, period=29)


@pytest.mark.parametrize("method", ["snip", "magnitude"])
def test_a_mask_that_another_machine_chose_otherwise_goes_on(method: str) -> None:
    one, other = (built(method=method, density=0.3, seed=seed) for seed in (0, 0))
    assert isinstance(other.training, sparse.Static)
    rounded = {name: kept.copy() for name, kept in other.training.mask.items()}
    first, last = (int(np.flatnonzero(rounded["fc1.weight"] == kept)[0]) for kept in (True, False))
    rounded["fc1.weight"].flat[[first, last]] = False, True
    other.training.set_mask({name: torch.from_numpy(kept) for name, kept in rounded.items()})
    other.training.settings["kept"] = other.training.mask.digest
    with pytest.raises(ArgumentError, match="the saved training has kept ="):
        one.training.load_state_dict(other.state_dict())
    one.load_state_dict(other.state_dict())
    assert one.training.mask == other.training.mask
    for name, weights in one.training.weights().items():
        assert np.array_equal(weights, other.training.weights()[name])
    with pytest.raises(ArgumentError, match="the saved training holds no 'mask'"):
        one.load_state_dict({})


@pytest.mark.parametrize("method", ["imp", "gradual"])
def test_what_starts_from_the_whole_source_is_scaled_by_it(method: str) -> None:
    recipe = built(method=method, density=0.1, source_density=0.5, fan_scaling=True).training.source.recipe
    assert [tensor.fan_density for tensor in recipe.tensors] == [pytest.approx(0.5)] * 3
    recipe = built(method="rigl", density=0.1, source_density=0.5, fan_scaling=True).training.source.recipe
    assert [tensor.fan_density for tensor in recipe.tensors] == [pytest.approx(0.1)] * 3


def test_the_batches_and_the_temperature_count() -> None:
    one, two = (built(method="snip", density=0.2, pruning_batches=count) for count in (1, 2))
    assert one.training.mask != two.training.mask
    only = built(method="snip", density=0.2, pruning_batches=2, batches=1)
    assert only.training.mask == one.training.mask

    def loss(temperature: float) -> Mask:
        x = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
        source = Source(network(), 0, "kaiming_uniform")
        return sparse.grasp(
            source,
            0.2,
            lambda model: torch.nn.functional.cross_entropy(model(x) / temperature, torch.arange(8)),
        )

    assert built(method="grasp", density=0.2).training.mask == loss(200.0)
    assert loss(1.0) != loss(200.0)


def test_a_scaled_ticket_is_checked_at_its_own_scale(tmp_path: Path) -> None:
    run = finished("search", "--fan-scaling", "--density", "0.1")
    path, ticket = run / "ticket.tombola", ticket_of(run)
    for name, *checks in (("reinit", "--reinit"), ("shuffle", "--shuffle")):
        weights, _, _ = began_with(tmp_path, name, "--ticket", path, *checks)
        for tensor in ticket.recipe.tensors:
            magnitudes = {round(float(w), 6) for w in np.unique(weights[tensor.name].abs().numpy()) if w}
            expected = {round(float(w), 6) for w in np.unique(np.abs(ticket.weights()[tensor.name])) if w}
            assert magnitudes == expected
    line = refusal("train", *STILL, "--ticket", path, "--init", "uniform", "--out", tmp_path / "x")
    assert "says how its weights are drawn: leave out --init and --fan-scaling" in line


def test_a_shuffle_stays_within_the_mask_that_was_the_source(tmp_path: Path) -> None:
    found = finished("train", *options("imp"))
    within = found / "mask.safetensors"
    run = finished("search", "--source-mask", str(within), "--density", "0.1")
    _, mask, _ = began_with(
        tmp_path, "s", "--ticket", run / "ticket.tombola", "--shuffle", "--source-mask", within
    )
    assert mask <= Mask.load(within)
    assert mask != ticket_of(run).mask


def test_a_network_that_is_cut_through_is_said_to_be(tmp_path: Path) -> None:
    given = ("--method", "imp", "--density", "0.002", "--rounds", "1", "--out", tmp_path / "run")
    ended = tombola("train", *TINY, *given)
    assert ended.status == 0
    (line,) = [line for line in ended.err.splitlines() if "layers left" in line]
    assert line.startswith("tombola: warning: layers left without a weight: ")
    assert result_of(tmp_path / "run")["empty_layers"]
    assert result_of(tmp_path / "run")["trained_epochs"] == 4


def test_a_mask_of_nothing(tmp_path: Path) -> None:
    shapes = Mask.load(finished("train", *options("imp")) / "mask.safetensors").shapes
    Mask({name: np.zeros(shape, bool) for name, shape in shapes.items()}).save(tmp_path / "m.safetensors")
    for scaling in ((), ("--fan-scaling",)):
        line = refusal("search", *TINY, "--source-mask", tmp_path / "m.safetensors", *scaling)
        assert line == "the mask keeps no weight at all"
