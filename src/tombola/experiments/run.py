"""One run from its configuration to its records: `search` and `train` of the command."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from tombola import data, models
from tombola.data.loader import Batch, DatasetLike
from tombola.data.names import NAMES
from tombola.experiments import tensorboard
from tombola.experiments.config import RunConfig
from tombola.experiments.folder import RunFolder
from tombola.experiments.interrupt import Interrupt
from tombola.experiments.learner import DenseLearner, Learner, SearchLearner
from tombola.experiments.loop import Loop, training_batches
from tombola.experiments.machine import Machine, emulation, resolve
from tombola.experiments.ranks import ALONE, Ranks, joined
from tombola.experiments.results import finish
from tombola.experiments.search_config import SearchConfig
from tombola.experiments.sparse_learner import SparseLearner
from tombola.experiments.synchronised import synchronise_batch_norm
from tombola.experiments.train_config import TrainConfig
from tombola.rng import Stream, seed_framework

Config = TypeVar("Config", bound=RunConfig)


@dataclass(frozen=True)
class Outcome:
    """The folder of a finished run and what its result.json says; `first`: whether this process is the one of
    the run's that is to report it.
    """

    folder: Path
    result: dict[str, Any]
    first: bool = True


def run(config: RunConfig, interrupt: Interrupt | None = None) -> Outcome:
    """Run a search (SearchConfig) or ordinary training to its end, or go on with one.

    `interrupt` says that a signal has come, where the caller watches for signals already.

    Raises TombolaError for anything wrong with the configuration, the data or the folder, before
    anything is written; `Interrupted` on a signal.
    """
    config.check()
    with joined(gpus=config.device != "cpu") as ranks:
        return _run(located(config), ranks, interrupt or Interrupt())


def _run(config: Config, ranks: Ranks, interrupt: Interrupt) -> Outcome:
    config, outcome = ranks.from_first(lambda: _taken_up(config))
    if outcome is not None:
        return replace(outcome, first=ranks.first)
    # What the machines are left to choose is the first's choice, or half a batch had another precision.
    config = resolve(ranks.from_first(lambda: resolve(config)))
    slow = [(rank, line) for rank, line in enumerate(ranks.of_each(emulation(config))) if line]
    if slow and ranks.first:
        rank, line = slow[0]
        warnings.warn(f"rank {rank}: {line}" if rank else line, stacklevel=2)
    machine = Machine.prepare(config)
    dataset = data.load(
        config.data,
        data_dir=config.data_dir,
        seed=config.seed,
        validation=config.validation,
        image_size=config.image_size,
        workers=config.workers,
    )
    ranks.check_data(dataset.fingerprint)
    seed_framework(Stream(config.seed, "framework", "run"))
    learner = make_learner(config, dataset, machine, ranks)
    for line in config.idle_options(updates(config, dataset)) if ranks.first else ():
        warnings.warn(line, stacklevel=2)
    if not ranks.first:  # or dropout, say, would drop the same in every part of a batch
        seed_framework(Stream(config.seed, "framework", "run", ranks.share.rank))
    folder = RunFolder(ranks.from_first(lambda: config.out or RunFolder.free(_name(config)).path))
    with folder.locked() if ranks.first else nullcontext(), ExitStack() as stack:
        with interrupt.watched():
            loop = Loop(config, dataset, learner, machine, folder, ranks)
            if checkpoint := ranks.from_first(lambda: _begun(config, folder)):
                with folder.fitting():
                    loop.load_state_dict(checkpoint)
                if ranks.first and loop.history:  # a kill may come between a checkpoint and its line
                    folder.write_metrics(loop.history)
            stack.enter_context(_events(loop))
            loop.run(interrupt)
        return Outcome(folder.path, finish(loop), ranks.first)


@contextmanager
def _events(loop: Loop) -> Iterator[None]:
    """Let a loop write its event file, if it is to have one and this process writes."""
    if not loop.ranks.first or not tensorboard.wanted(loop.config, loop.folder.path):
        yield
        return
    with tensorboard.recorded(loop.config, loop.folder.path, loop.history, loop.seconds()) as loop.events:
        yield


def _taken_up(config: Config) -> tuple[Config, Outcome | None]:
    """The configuration, completed by that of the run to go on with; what came out, if that has ended."""
    folder = RunFolder(config.out) if config.out else None
    if folder and config.resume and folder.config.exists():
        config = config.completed(type(config).from_toml(folder.config))
        if result := folder.finished():
            return config, Outcome(folder.path, result)
        folder.check_unlocked()
    elif folder:
        folder.check_free()  # before the data are read, not after
    tensorboard.wanted(config, config.out)
    return config, None


def _begun(config: RunConfig, folder: RunFolder) -> dict[str, Any] | None:
    """The checkpoint to go on from; None at the beginning of a run."""
    if config.resume and folder.config.exists():
        config.completed(type(config).from_toml(folder.config))  # another process may have begun it just now
        return folder.load_checkpoint()
    folder.start(config)
    return None


def make_learner(config: RunConfig, dataset: DatasetLike, machine: Machine, ranks: Ranks = ALONE) -> Learner:
    """The model of `config` for the data set, on the device, with what is trained in it."""
    model = build_model(config.model, config.width, dataset).to(machine.device)
    if not ranks.alone:
        synchronise_batch_norm(model)
    steps = updates(config, dataset)
    if isinstance(config, SearchConfig):
        return SearchLearner(model, config, steps)
    if isinstance(config, TrainConfig) and config.method != "dense":
        examples = partial(_examples, config, dataset, machine, model)
        return SparseLearner(model, config, steps, examples, ranks)
    return DenseLearner(model, config)


def updates(config: RunConfig, dataset: DatasetLike) -> int:
    """Updates an epoch."""
    return max(1, len(dataset.train) // config.batch_size)


def _examples(config: RunConfig, dataset: DatasetLike, machine: Machine, model: nn.Module) -> Iterator[Batch]:
    """Batches of training data in an order drawn from the seed, not augmented."""
    return training_batches(config, dataset, machine, model, augment=False).epoch(0)


def build_model(name: str, width: float, dataset: DatasetLike) -> nn.Module:
    """The architecture `name` for the images of a data set."""
    return models.build(
        name,
        width=width,
        in_channels=dataset.in_channels,
        classes=dataset.classes,
        image_size=dataset.image_size,
    )


def located(config: Config) -> Config:
    """`config` with a folder of images, and files of masks, given from the root: its record must not depend
    on where the command was typed.
    """
    for name in ("source_mask", "ticket"):
        if (given := getattr(config, name, None)) is not None:
            config = replace(config, **{name: given.expanduser().absolute()})
    folder = Path(config.data).expanduser()
    if config.data in NAMES or not os.path.isdir(folder):  # noqa: PTH112 (as in tombola.data)
        return config
    return replace(config, data=str(folder.resolve()))


def _name(config: RunConfig) -> str:
    kind = config.settings().get("method", "train")
    kind = "train" if kind == "dense" else kind
    return f"{kind}-{Path(config.data).name}-{config.model.replace(':', '.')}"
