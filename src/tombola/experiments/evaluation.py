"""How well a model answers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from tombola.data.loader import DatasetLike, SplitLike
from tombola.experiments.machine import Machine

EVALUATION_BATCH = 500


@dataclass(frozen=True)
class Score:
    """Fraction answered rightly, mean cross-entropy, and the answer to every example."""

    accuracy: float
    loss: float
    answers: torch.Tensor


@torch.no_grad()
def evaluate(model: nn.Module, dataset: DatasetLike, split: SplitLike, machine: Machine) -> Score:
    """The score of `model` on a split that holds at least one example, in evaluation mode."""
    batches = dataset.evaluation(
        split, EVALUATION_BATCH, device=machine.device, channels_last=machine.channels_last
    )
    training = model.training
    model.eval()
    answers, loss = [], torch.zeros((), device=machine.device)
    for x, y in batches.epoch(0):
        with machine.autocast():
            logits = model(x)
        loss += F.cross_entropy(logits.float(), y, reduction="sum")
        answers.append(logits.argmax(1))
    model.train(training)
    given = torch.cat(answers).cpu()
    right = int((given == split.labels.cpu()).sum())
    return Score(right / len(split), float(loss) / len(split), given)
