"""Accuracy, loss and answers of a model on a split."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from loop_helpers import CPU, dataset, split
from torch import nn

from tombola.data import Split
from tombola.experiments.evaluation import EVALUATION_BATCH, evaluate
from tombola.experiments.machine import Machine


class Bright(nn.Module):
    """Answers 1 for an image whose first pixel is above the mean; counts what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[int] = []
        self.modes: set[bool] = set()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.shown.append(len(x))
        self.modes.add(self.training)
        first = x[:, 0, 0, 0]
        return torch.stack([-first, first], dim=1)


def test_accuracy_loss_and_answers() -> None:
    """Pixels 0, 4, 8 … 60 of 255, mean 0.5 and deviation 0.5: x = pixel / 127.5 - 1, all below 0."""
    data, model = dataset(), Bright()
    score = evaluate(model, data, split(16), CPU)
    assert score.answers.tolist() == [0] * 16
    assert score.accuracy == 0.5
    x = torch.arange(0, 64, 4) / 127.5 - 1
    expected = F.cross_entropy(torch.stack([-x, x], dim=1), torch.arange(16) % 2)
    assert score.loss == pytest.approx(float(expected))


def test_every_example_counts_the_same_whatever_the_batches() -> None:
    model = Bright()
    images = split(EVALUATION_BATCH + 1)
    score = evaluate(model, dataset(), images, CPU)
    assert model.shown == [EVALUATION_BATCH, 1]
    right = int((score.answers == images.labels).sum())
    assert score.accuracy == right / (EVALUATION_BATCH + 1)
    singles = [Split(images.images[i : i + 1], images.labels[i : i + 1]) for i in range(len(images))]
    each = [evaluate(model, dataset(), single, CPU).loss for single in singles]
    assert score.loss == pytest.approx(sum(each) / len(each), rel=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_of_the_model_is_given_back(training: bool) -> None:
    model = Bright().train(training)
    evaluate(model, dataset(), split(4), CPU)
    assert model.modes == {False}
    assert model.training is training


def test_no_gradients_are_kept() -> None:
    class Recorder(Bright):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert not torch.is_grad_enabled()
            return super().forward(x)

    evaluate(Recorder(), dataset(), split(4), CPU)


def test_the_precision_is_that_of_the_machine() -> None:
    seen: list[torch.dtype] = []
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    model.register_forward_hook(lambda _model, _inputs, output: seen.append(output.dtype))
    evaluate(model, dataset(), split(4), CPU)
    evaluate(model, dataset(), split(4), Machine("cpu", "bfloat16", channels_last=True))
    assert seen == [torch.float32, torch.bfloat16]
