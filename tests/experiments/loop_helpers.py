"""A loop over a handful of images, with a learner and scores that a test dictates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tombola.data import Dataset, Split
from tombola.experiments import loop as loop_module
from tombola.experiments.config import RunConfig
from tombola.experiments.evaluation import Score
from tombola.experiments.folder import RunFolder
from tombola.experiments.loop import Loop
from tombola.experiments.machine import Machine
from tombola.experiments.ranks import Ranks

CPU = Machine("cpu", "float32", channels_last=False)


class Counter:
    """A learner whose state is how often it stepped; its model answers by one weight."""

    def __init__(self) -> None:
        self.model: nn.Module = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
        self.steps = 0
        self.settled = True
        self.density = 1.0

    def plan(self, epochs: int) -> list[int]:
        return list(range(epochs))

    def next_round(self) -> None:
        raise AssertionError("there is one round")

    def parameters(self) -> Iterable[nn.Parameter]:
        return self.model.parameters()

    def step(self) -> None:
        self.steps += 1

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps = state["steps"]


def split(count: int) -> Split:
    """`count` images of 2×2 in two classes."""
    images = torch.arange(count * 4, dtype=torch.uint8).view(count, 2, 2, 1)
    return Split(images, torch.arange(count) % 2)


def dataset(train: int = 10, validation: int = 4, test: int = 6) -> Dataset:
    """A data set of so many images."""
    splits = (split(train), split(validation), split(test))
    return Dataset("tiny", *splits, class_names=("0", "1"), mean=(0.5,), std=(0.5,), augmentation=None)


def make_loop(folder: Path, data: Dataset, **options: Any) -> Loop:
    """A loop of 5 steps an epoch."""
    config = RunConfig(**{"batch_size": 2, "epochs": 4, "warmup": 0.0, "lr": 0.1, **options})
    (folder / "run").mkdir()
    return Loop(config, data, Counter(), CPU, RunFolder(folder / "run"))


def dictate(monkeypatch: pytest.MonkeyPatch, scores: Sequence[tuple[float, float]]) -> list[Split]:
    """Let the evaluations of the loop come out as (accuracy, loss) says; the splits they were asked for."""
    asked: list[Split] = []

    def evaluate(model: nn.Module, data: Dataset, split: Split, machine: Machine, *ranks: Ranks) -> Score:
        asked.append(split)
        accuracy, loss = scores[len(asked) - 1]
        return Score(accuracy, loss, torch.zeros(len(split), dtype=torch.int64))

    monkeypatch.setattr(loop_module, "evaluate", evaluate)
    return asked
