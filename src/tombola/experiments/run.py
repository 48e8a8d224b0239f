"""One run from its configuration to its records: `search` and `train` of the command."""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import safetensors.torch
from torch import nn

from tombola import data, models
from tombola._version import __version__
from tombola.data import Dataset
from tombola.data.registry import NAMES
from tombola.experiments.config import RunConfig, SearchConfig
from tombola.experiments.evaluation import Score, evaluate
from tombola.experiments.folder import RunFolder
from tombola.experiments.interrupt import Interrupt
from tombola.experiments.learner import DenseLearner, Learner, SearchLearner
from tombola.experiments.loop import Loop
from tombola.experiments.machine import Machine, resolve
from tombola.files import write_atomically
from tombola.rng import Stream, seed_framework

Config = TypeVar("Config", bound=RunConfig)
EXAMPLES = 24


@dataclass(frozen=True)
class Outcome:
    """The folder of a finished run and what its result.json says."""

    folder: Path
    result: dict[str, Any]


def run(config: RunConfig) -> Outcome:
    """Run a search (SearchConfig) or ordinary training to its end, or go on with one.

    Raises TombolaError for anything wrong with the configuration, the data or the folder, before
    anything is written; `Interrupted` on a signal.
    """
    config.check()
    config = _located(config)
    folder = RunFolder(config.out) if config.out else None
    if folder and config.resume and folder.config.exists():
        config = config.completed(type(config).from_toml(folder.config))
        if result := folder.finished():
            return Outcome(folder.path, result)
    elif folder:
        folder.check_free()  # before the data are read, not after
    config = resolve(config)
    machine = Machine.prepare(config)
    dataset = data.load(config.data, data_dir=config.data_dir, seed=config.seed, validation=config.validation)
    seed_framework(Stream(config.seed, "framework", "run"))
    learner = make_learner(config, dataset, machine)
    folder = folder or RunFolder.free(_name(config))
    interrupt = Interrupt()
    with folder.locked(), interrupt.watched():
        loop = Loop(config, dataset, learner, machine, folder)
        if not (config.resume and folder.config.exists()):
            folder.start(config)
        elif checkpoint := folder.load_checkpoint():
            loop.load_state_dict(checkpoint)
        loop.run(interrupt)
        return Outcome(folder.path, _finish(loop))


def make_learner(config: RunConfig, dataset: Dataset, machine: Machine) -> Learner:
    """The model of `config` for the data set, on the device, with what is trained in it."""
    model = build_model(config.model, config.width, dataset).to(machine.device)
    return SearchLearner(model, config) if isinstance(config, SearchConfig) else DenseLearner(model, config)


def build_model(name: str, width: float, dataset: Dataset) -> nn.Module:
    """The architecture `name` for the images of a data set."""
    return models.build(
        name,
        width=width,
        in_channels=dataset.in_channels,
        classes=dataset.classes,
        image_size=dataset.image_size,
    )


def _located(config: Config) -> Config:
    """`config` with a folder of images given from the root: its record must not depend on where the
    command was typed.
    """
    folder = Path(config.data).expanduser()
    if config.data in NAMES or not os.path.isdir(folder):  # noqa: PTH112 (as in tombola.data)
        return config
    return replace(config, data=str(folder.resolve()))


def _name(config: RunConfig) -> str:
    kind = config.method if isinstance(config, SearchConfig) else "train"
    return f"{kind}-{Path(config.data).name}-{config.model.replace(':', '.')}"


def _finish(loop: Loop) -> dict[str, Any]:
    """Take the best epoch, measure it on the test split, once, and write the run's results."""
    loop.learner.load_state_dict(loop.best["learner"])
    score = evaluate(loop.learner.model, loop.dataset, loop.dataset.test, loop.machine)
    best = loop.history[loop.best["epoch"] - 1]
    result: dict[str, Any] = {
        "test_accuracy": score.accuracy,
        "validation_accuracy": best["validation_accuracy"],
        "best_epoch": loop.best["epoch"],
    }
    result |= _save_ticket(loop, result) if isinstance(loop.learner, SearchLearner) else _save_weights(loop)
    result |= {
        "seconds": loop.seconds(),
        "epochs": loop.config.epochs,
        "seed": loop.config.seed,
        "data": loop.dataset.name,
        "model": loop.config.model,
        "width": loop.config.width,
        "precision": loop.config.precision,
        "device": loop.config.device,
        "tombola": __version__,
    }
    _save_examples(loop, score)
    loop.folder.write_result(result)
    return result


def _save_ticket(loop: Loop, result: dict[str, Any]) -> dict[str, Any]:
    assert isinstance(loop.learner, SearchLearner)
    ticket = loop.learner.search.ticket(_metadata(loop, result))
    ticket.save(loop.folder.path / "ticket.tombola")
    return {
        "method": loop.config.settings()["method"],
        "density": ticket.density,
        "weights": ticket.mask.total,
        "ticket_bytes": ticket.nbytes,
        "bits_per_weight": ticket.bits_per_weight,
        "digest": ticket.digest,
    }


def _save_weights(loop: Loop) -> dict[str, Any]:
    learner = loop.learner
    assert isinstance(learner, DenseLearner)
    model = learner.model
    # named_* name a tied tensor once, which safetensors asks for.
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    encoded = safetensors.torch.save({name: tensor.detach().contiguous() for name, tensor in tensors.items()})
    write_atomically(loop.folder.path / "model.safetensors", encoded)
    return {
        "method": "dense",
        "density": 1.0,
        "weights": learner.weights,
        "ticket_bytes": None,
        "bits_per_weight": 8 * len(encoded) / learner.weights,
        "model_bytes": len(encoded),
    }


def _metadata(loop: Loop, result: dict[str, Any]) -> dict[str, str]:
    """What the ticket says of itself: only what (config, seed) determine, so no paths and no times."""
    dataset = loop.dataset
    values = {
        "dataset": dataset.name,
        "model": loop.config.model,
        "width": loop.config.width,
        "in_channels": dataset.in_channels,
        "classes": dataset.classes,
        "image_size": dataset.image_size,
        "mean": dataset.mean,
        "std": dataset.std,
        "settings": {**loop.config.settings(), "data": dataset.name},
        **result,
        "tombola": __version__,
    }
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}


def _save_examples(loop: Loop, score: Score) -> None:
    """Some test images with their labels and the network's answers, for pictures of the run."""
    test = loop.dataset.test
    picked = np.sort(Stream(0, "examples", "pick").permutation(len(test))[:EXAMPLES])
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        images=test.images.cpu().numpy()[picked],
        labels=test.labels.cpu().numpy()[picked],
        answers=score.answers.numpy()[picked],
        class_names=np.array(loop.dataset.class_names),
    )
    write_atomically(loop.folder.path / "examples.npz", buffer.getvalue())
