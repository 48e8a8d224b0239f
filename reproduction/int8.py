"""Trained networks in bytes of 8 bits, for claim C1: what they take, and what it costs them.

Each weight tensor becomes whole numbers of -127 … 127 times a scale for each output channel, the greatest
|weight| there over 127; biases stay float32. The file is what safetensors writes of these.
"""

from __future__ import annotations

import csv
from pathlib import Path

import safetensors.torch
import torch

from reproduction import records
from reproduction.records import Rows, table
from tombola import data, models
from tombola.experiments.evaluation import evaluate
from tombola.experiments.machine import Machine, resolve
from tombola.experiments.train_config import TrainConfig

FILE = "int8.csv"


def rounded(weights: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """What is stored of `weights`, and the weights that come back from it."""
    stored, back = {}, {}
    for name, tensor in weights.items():
        if tensor.dim() < 2:
            stored[name] = back[name] = tensor
            continue
        axes = tuple(range(1, tensor.dim()))
        scale = tensor.abs().amax(axes, keepdim=True) / 127
        whole = torch.where(scale > 0, tensor / scale, 0).round().to(torch.int8)
        stored[name], stored[f"{name}.scale"] = whole, scale.flatten()
        back[name] = whole * scale
    return stored, back


def measure(run: Path) -> tuple[int, float, float]:
    """Bytes in 8 bits of the network of a finished `tombola train`; its test accuracy in float32, and so."""
    config = TrainConfig.from_toml(run / "config.toml")
    machine = Machine.prepare(resolve(config))
    images = data.load(config.data, data_dir=config.data_dir, seed=config.seed, validation=config.validation)
    model = models.build(
        config.model,
        width=config.width,
        in_channels=images.in_channels,
        classes=images.classes,
        image_size=images.image_size,
    ).to(machine.device)
    trained = safetensors.torch.load_file(run / "model.safetensors")
    stored, back = rounded(trained)

    def accuracy(weights: dict[str, torch.Tensor]) -> float:
        model.load_state_dict(weights)
        return evaluate(model, images, images.test, machine).accuracy

    return len(safetensors.torch.save(stored)), accuracy(trained), accuracy(back)


def keep(sweep: str, folder: Path) -> None:
    """Measure all finished runs of a sweep in `folder`, and write them to its records."""
    measured = [
        [row["run"], row["seed"], *measure(folder / row["run"])]
        for row in records.runs(sweep).where(state="finished").rows
    ]
    with (records.KEPT / sweep / FILE).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["run", "seed", "int8_bytes", "float32_accuracy", "test_accuracy"])
        writer.writerows(measured)


def rows(sweep: str) -> Rows:
    """What was measured."""
    return table(records.KEPT / sweep / FILE)
