"""The loop: which epoch is best, which rates it sets, what it counts, how often it looks at the test set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from loop_helpers import Counter, dataset, dictate, make_loop
from torch import nn

from commands import TINY, result_of, ticket_of, tombola
from tombola.data import Dataset, Split
from tombola.errors import RunError
from tombola.experiments import loop as loop_module
from tombola.experiments import results as results_module
from tombola.experiments.evaluation import evaluate
from tombola.experiments.interrupt import Interrupt, Interrupted
from tombola.experiments.machine import Machine
from tombola.experiments.ranks import Ranks
from tombola.mask import top_k


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([(0.5, 9.0), (0.7, 9.0), (0.6, 1.0), (0.6, 1.0)], 2),  # the greatest accuracy
        ([(0.7, 3.0), (0.7, 2.0), (0.7, 4.0), (0.6, 1.0)], 2),  # among equals the least loss
        ([(0.7, 2.0), (0.7, 2.0), (0.7, 2.0), (0.7, 2.0)], 1),  # among all equals the first
        ([(0.1, 1.0), (0.2, 1.0), (0.3, 1.0), (0.4, 1.0)], 4),
        ([(0.0, 5.0), (0.0, 6.0), (0.0, 7.0), (0.0, 8.0)], 1),
    ],
)
def test_the_best_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scores: list[tuple[float, float]], best: int
) -> None:
    data = dataset()
    asked = dictate(monkeypatch, scores)
    loop = make_loop(tmp_path, data)
    loop.run(Interrupt())
    assert loop.best["epoch"] == best
    assert loop.best["learner"] == {"steps": 5 * best}
    assert [row["validation_accuracy"] for row in loop.history] == [accuracy for accuracy, _ in scores]
    assert [row["validation_loss"] for row in loop.history] == [loss for _, loss in scores]
    assert len(asked) == 4
    assert all(split is data.validation for split in asked)


def test_without_validation_the_last_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = dictate(monkeypatch, [])
    loop = make_loop(tmp_path, dataset(validation=0))
    loop.run(Interrupt())
    assert asked == []
    assert loop.best["epoch"] == 4
    assert {row["validation_accuracy"] for row in loop.history} == {None}
    assert {row["validation_loss"] for row in loop.history} == {None}


def test_the_schedule_counts_steps(tmp_path: Path) -> None:
    """Two epochs of five steps, one of warm-up: rises to the peak, then half a cosine to 0."""
    loop = make_loop(tmp_path, dataset(), epochs=2, warmup=1.0)
    rates: list[float] = []
    groups = loop.optimizer.param_groups
    loop.optimizer.register_step_post_hook(lambda *_: rates.append(groups[0]["lr"]))
    loop.run(Interrupt())
    rising = [0.02, 0.04, 0.06, 0.08, 0.1]
    cosines = [1.0, 0.8090169943749475, 0.30901699437494745, -0.30901699437494745, -0.8090169943749475]
    assert rates == pytest.approx(rising + [0.05 * (1 + cosine) for cosine in cosines])
    assert [row["lr"] for row in loop.history] == [rates[4], rates[9]]


def test_an_epoch_goes_through_the_training_images_once(tmp_path: Path) -> None:
    loop = make_loop(tmp_path, dataset(train=11, validation=0), epochs=1)
    seen: list[torch.Tensor] = []
    loop.learner.model.register_forward_hook(lambda _model, inputs, _output: seen.append(inputs[0]))
    loop.run(Interrupt())
    assert [len(x) for x in seen] == [2] * 5  # the odd one is left out
    assert len(torch.unique(torch.cat(seen).flatten(1), dim=0)) == 10


def test_the_train_accuracy_is_of_the_answers_as_they_came(tmp_path: Path) -> None:
    loop = make_loop(tmp_path, dataset(train=10, validation=0), epochs=2, lr=1e-30)
    model = loop.learner.model[1]  # type: ignore[index]
    with torch.no_grad():
        model.weight.zero_()
        model.bias.copy_(torch.tensor([1.0, 0.0]))  # always answers 0, which half of them are
    loop.run(Interrupt())
    assert [row["train_accuracy"] for row in loop.history] == [0.5, 0.5]
    expected = float(nn.functional.cross_entropy(torch.tensor([[1.0, 0.0]] * 2), torch.tensor([0, 1])))
    assert [row["loss"] for row in loop.history] == pytest.approx([expected] * 2)


@pytest.mark.parametrize("command", ["search", "train"])
def test_the_test_split_is_used_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """Of 1,797 digits 359 are for the test, 143 or so for validation."""
    asked: list[int] = []

    def counted(model: nn.Module, data: Dataset, split: Split, machine: Machine, *ranks: Ranks) -> Any:
        asked.append(len(split))
        return evaluate(model, data, split, machine, *ranks)

    for module in (loop_module, results_module):
        monkeypatch.setattr(module, "evaluate", counted)
    assert tombola(command, *TINY, "--epochs", "3", "--out", tmp_path / "run").status == 0
    assert asked == [143, 143, 143, 359]


def test_the_result_is_of_the_best_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of three, as dictated: its mask is in the ticket, its answers are the test accuracy."""
    dictate(monkeypatch, [(0.9, 1.0), (0.1, 1.0), (0.2, 1.0)])
    assert tombola("search", *TINY, "--epochs", "3", "--out", tmp_path / "run").status == 0
    result, ticket = result_of(tmp_path / "run"), ticket_of(tmp_path / "run")
    assert (result["best_epoch"], result["validation_accuracy"]) == (1, 0.9)
    state = torch.load(tmp_path / "run/checkpoint/latest.pt", weights_only=True)
    best, last = state["best"]["learner"]["scores"], state["learner"]["scores"]
    for name, mask in ticket.mask.items():
        assert np.array_equal(mask, top_k(best[name].flatten().numpy(), mask.sum()).reshape(mask.shape))
        assert not np.array_equal(mask, top_k(last[name].flatten().numpy(), mask.sum()).reshape(mask.shape))
    measured = json.loads(tombola("evaluate", tmp_path / "run/ticket.tombola", "--json").out)
    assert measured["test_accuracy"] == result["test_accuracy"]


def test_a_signal_is_taken_between_two_steps(tmp_path: Path) -> None:
    loop, interrupt = make_loop(tmp_path, dataset()), Interrupt()
    learner = loop.learner
    assert isinstance(learner, Counter)

    def stop_at_seven(*_: object) -> None:
        interrupt.status = 75 if learner.steps == 6 else None

    loop.optimizer.register_step_post_hook(stop_at_seven)
    with pytest.raises(Interrupted, match=r"interrupted in epoch 2, step 2; go on with --resume") as caught:
        loop.run(interrupt)
    assert caught.value.status == 75
    assert (loop.epoch, loop.step, learner.steps) == (1, 2, 7)
    state = loop.folder.load_checkpoint()
    assert state is not None
    assert (state["epoch"], state["step"], state["learner"]) == (1, 2, {"steps": 7})


def test_a_signal_at_the_very_end_changes_nothing(tmp_path: Path) -> None:
    """All is done: it would be silly to stop before the last records are written."""
    loop, interrupt = make_loop(tmp_path, dataset(), epochs=1), Interrupt()

    def stop_at_the_last_step(*_: object) -> None:
        interrupt.status = 130 if loop.step == 4 else None

    loop.optimizer.register_step_post_hook(stop_at_the_last_step)
    loop.run(interrupt)
    assert interrupt.status == 130
    assert loop.epoch == 1


def test_a_search_that_fails_for_another_reason_is_not_called_divergence(tmp_path: Path) -> None:
    loop = make_loop(tmp_path, dataset())
    loop.learner.step = broken  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        loop.run(Interrupt())


def broken() -> None:
    raise ZeroDivisionError


def test_a_statistic_that_is_no_number_is_not_kept(tmp_path: Path) -> None:
    """A buffer may hold infinities (attention masks do), never NaN."""
    loop = make_loop(tmp_path, dataset(), epochs=1)
    loop.learner.model.register_buffer("mask", torch.tensor([-torch.inf, 0.0]))
    loop.run(Interrupt())
    other = tmp_path / "other"
    other.mkdir()
    loop = make_loop(other, dataset(), epochs=1)
    loop.learner.model.register_buffer("running_mean", torch.tensor([torch.nan]))
    with pytest.raises(RunError, match="no number any more in epoch 1, step 5 \\(no checkpoint yet\\)"):
        loop.run(Interrupt())
    assert not loop.folder.latest.exists()
