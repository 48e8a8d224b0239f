"""What a run trains, and from where."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from commands import TINY, finished, tombola
from tombola import EdgePopup, IteRand, SignedSupermask, Source, Ticket, models
from tombola.errors import ArgumentError
from tombola.experiments.learner import DenseLearner, SearchLearner
from tombola.experiments.search_config import SearchConfig
from tombola.experiments.train_config import TrainConfig


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3 * 36, 10))


def test_dense_training_starts_from_the_sources_weights() -> None:
    config = TrainConfig(seed=5, init="kaiming_normal")
    learner = DenseLearner(network(), config)
    source = Source(network(), 5, "kaiming_normal")
    parameters = dict(learner.model.named_parameters())
    for name, weights in source.weights().items():
        assert np.array_equal(parameters[name].detach().numpy(), weights)
    # The rest as a source sets it.
    assert set(parameters) - set(source.names) == {"0.bias", "1.weight", "1.bias", "3.bias"}
    assert all((parameters[name] == 1.0).all() for name in ["1.weight"])
    assert all((parameters[name] == 0.0).all() for name in ["0.bias", "1.bias", "3.bias"])


def test_dense_training_trains_every_parameter() -> None:
    learner = DenseLearner(network(), TrainConfig())
    trained = list(learner.parameters())
    assert {id(p) for p in trained} == {id(p) for p in learner.model.parameters()}
    assert len(trained) == 6
    assert all(parameter.requires_grad for parameter in trained)
    before = [parameter.detach().clone() for parameter in trained]
    optimizer = torch.optim.SGD(trained, lr=0.1)
    nn.functional.cross_entropy(learner.model(torch.randn(4, 1, 8, 8)), torch.arange(4)).backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    learner.step()
    assert all((old != new).any() for old, new in zip(before, trained, strict=True))


def test_dense_training_leaves_a_plain_model() -> None:
    learner = DenseLearner(network(), TrainConfig())
    assert [type(module) for module in learner.model.modules()] == [type(m) for m in network().modules()]
    assert list(learner.model.state_dict()) == list(network().state_dict())


def test_a_learners_state_is_a_copy() -> None:
    learner = DenseLearner(network(), TrainConfig())
    state = learner.state_dict()
    kept = state["3.weight"].clone()
    with torch.no_grad():
        learner.model[3].weight.add_(1.0)  # type: ignore[index]
    assert torch.equal(state["3.weight"], kept)
    learner.load_state_dict(state)
    assert torch.equal(learner.model.state_dict()["3.weight"], kept)


def test_a_search_trains_scores_alone() -> None:
    learner = SearchLearner(network(), SearchConfig())
    assert {id(p) for p in learner.parameters()} == {id(s) for s in learner.search.scores.values()}
    assert list(learner.search.scores) == ["0.weight", "3.weight"]


def test_every_option_reaches_the_search() -> None:
    options = {"period": 9, "rate": 0.25, "density": 0.3, "seed": 4, "init": "uniform"}
    search = SearchLearner(network(), SearchConfig(**options)).search  # type: ignore[arg-type]
    assert isinstance(search, IteRand)
    assert (search.period, search.rate) == (9, 0.25)
    assert (search.source.seed, search.source.recipe.init) == (4, "uniform")
    assert {name: int(mask.sum()) for name, mask in search.mask.items()} == {"0.weight": 8, "3.weight": 324}
    popup = SearchLearner(network(), SearchConfig(method="edge-popup", scope="global", absolute=True)).search
    assert isinstance(popup, EdgePopup)
    assert popup.state_dict()["settings"]["scope"] == "global"
    assert popup.state_dict()["settings"]["absolute"] is True
    signed = SearchLearner(network(), SearchConfig(method="signed-supermask", period=7, density=0.6)).search
    assert isinstance(signed, SignedSupermask)
    assert (signed.period, signed.density) == (7, 0.6)
    assert signed.state_dict()["settings"]["absolute"] is True


@pytest.mark.parametrize(("method", "period"), [("iterand", 30), ("signed-supermask", 1)])
def test_each_method_has_a_period_of_its_own(method: str, period: int) -> None:
    search = SearchLearner(network(), SearchConfig(method=method)).search
    assert isinstance(search, (IteRand, SignedSupermask))
    assert search.period == period


def test_biases_and_fan_scaling_reach_the_source() -> None:
    plain = SearchLearner(network(), SearchConfig(density=0.25)).search.source
    scaled = SearchLearner(network(), SearchConfig(density=0.25, fan_scaling=True, bias=True)).search.source
    assert "0.bias" in scaled.names
    assert "0.bias" not in plain.names
    assert np.array_equal(scaled.weights()["0.weight"], 2 * plain.weights()["0.weight"])


def test_the_initial_scores_are_a_choice() -> None:
    b = SearchLearner(network(), SearchConfig(score_init="fan_in")).search.scores["3.weight"]
    wider = SearchLearner(network(), SearchConfig(score_init="kaiming_uniform")).search.scores["3.weight"]
    assert float(b.detach().abs().max()) <= 1 / 108**0.5 < float(wider.detach().abs().max())


def test_an_unknown_method() -> None:
    with pytest.raises(ArgumentError, match="unknown method 'itrand': did you mean 'iterand'"):
        SearchLearner(network(), SearchConfig(method="itrand"))


def test_a_signed_supermask_without_a_period() -> None:
    SearchConfig(method="iterand", period=None).check()
    with pytest.raises(
        ArgumentError, match="signed-supermask redraws: its period is a number of steps, got N"
    ):
        SearchConfig(method="signed-supermask", period=None).check()


def test_a_dense_run_saves_the_weights_of_its_best_epoch(tmp_path: Path) -> None:
    """One epoch at a rate of almost nothing: what is saved is where it began, the source's weights."""
    options = ["--epochs", "1", "--lr", "1e-30", "--weight-decay", "0", "--init", "uniform", "--seed", "3"]
    assert tombola("train", *TINY, *options, "--out", tmp_path / "run").status == 0
    saved = safetensors.torch.load_file(tmp_path / "run/model.safetensors")
    model = models.mlp(width=0.1, in_channels=1, classes=10, image_size=8)
    source = Source(model, 3, "uniform")
    for name, weights in source.weights().items():
        assert np.array_equal(saved[name].numpy(), weights)
    source.detach()
    model.load_state_dict(saved)  # fits, name by name


def test_a_ticket_is_of_the_best_epoch() -> None:
    """The search's own ticket of that epoch: its metadata and the result say the same."""
    folder = finished()
    ticket = Ticket.load(folder / "ticket.tombola")
    result = json.loads((folder / "result.json").read_text())
    assert json.loads(ticket.metadata["best_epoch"]) == result["best_epoch"]
    assert json.loads(ticket.metadata["validation_accuracy"]) == result["validation_accuracy"]


@pytest.mark.parametrize(("anneal_epochs", "steps"), [(None, 30), (2.0, 20), (1.5, 15)])
def test_annealing_is_over_when_it_should_be(anneal_epochs: float | None, steps: int) -> None:
    """In epochs of 10 steps; half of the epochs where nothing is said."""
    config = SearchConfig(epochs=6, density=0.2, anneal=3, anneal_epochs=anneal_epochs)
    learner = SearchLearner(network(), config, steps=10)
    reached = []
    for _ in range(40):
        learner.step()
        reached.append(learner.settled)
    assert reached == [step >= steps for step in range(1, 41)]
    assert learner.density == pytest.approx(0.2, abs=0.01)
