"""A ticket -> its accuracy on a test set: the command `evaluate`."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, get_args

from tombola import data as datasets
from tombola.architecture import (
    model_of,
    numbers,
    plain_model,
    refuse_construction,
    whole_number,
    width_of,
)
from tombola.data import Dataset, StreamedDataset
from tombola.data.names import NAMES
from tombola.errors import ArgumentError
from tombola.experiments.config import Device, Precision, RunConfig, at_least
from tombola.experiments.evaluation import evaluate
from tombola.experiments.machine import Machine, emulation, resolve
from tombola.ticket import Ticket

Found = TypeVar("Found", Dataset, StreamedDataset)


def measure(
    ticket: Ticket,
    *,
    data: str | None,
    data_dir: Path | None,
    model: str | None,
    width: float | None,
    precision: Precision,
    device: Device,
    image_size: int | None = None,
    workers: int | None = None,
) -> dict[str, Any]:
    """Accuracy and loss of the ticket's network on a test split.

    What is not given is taken from the ticket's metadata, and so are the normalisation constants of
    the data it was found on (where it does not say: those of this data set), the size of images that are
    cropped as they are read, and the precision it was found with. Raises ArgumentError where the metadata
    names no data set or model, or code of its own to import, or is of a construction; TicketError where the
    architecture or the metadata do not fit.
    """
    said = ticket.metadata
    for option, value, least in (("image_size", image_size, 1), ("workers", workers, 0)):
        if value is not None:
            at_least(option, value, least)
    if model is None:
        refuse_construction(said)  # before data are asked for
    name = data if data is not None else _data_of(said)
    architecture = model if model is not None else model_of(said)
    if precision == "auto":
        precision = _precision_of(said)
    config = resolve(RunConfig(data=name, precision=precision, device=device))
    if slow := emulation(config):
        warnings.warn(slow, stacklevel=2)
    machine = Machine.prepare(config)
    dataset = datasets.load(
        name,
        data_dir=data_dir,
        validation=0.0,
        image_size=image_size or whole_number(said, "image_size") or RunConfig().image_size,
        workers=workers,
    )
    width = width if width is not None else width_of(said)
    plain = plain_model(
        ticket,
        architecture,
        width=width,
        in_channels=dataset.in_channels,
        classes=dataset.classes,
        image_size=dataset.image_size,
    )
    network = ticket.apply(plain).to(machine.device)
    score = evaluate(network, _normalised(dataset, said), dataset.test, machine)
    return {
        "test_accuracy": score.accuracy,
        "test_loss": score.loss,
        "examples": len(dataset.test),
        "data": dataset.name,
        "model": architecture,
        "density": ticket.density,
        "ticket_bytes": ticket.nbytes,
        "precision": machine.precision,
    }


def _data_of(said: dict[str, str]) -> str:
    if "dataset" not in said:
        raise ArgumentError("the ticket names no data set: give one with --data")
    if said["dataset"] not in NAMES:
        raise ArgumentError(
            f"the ticket was found on the data in a folder {said['dataset']!r:.80}: give it with --data"
        )
    return said["dataset"]


def _precision_of(said: dict[str, str]) -> Precision:
    """The arithmetic that the ticket was found with, so that the accuracy is the run's own."""
    try:
        found = json.loads(said["settings"])["precision"]
    except (KeyError, ValueError, TypeError, RecursionError):
        return "auto"
    return found if found in get_args(Precision) else "auto"


def _normalised(dataset: Found, said: dict[str, str]) -> Found:
    mean = numbers(said, "mean", dataset.in_channels, dataset.mean)
    return replace(dataset, mean=mean, std=numbers(said, "std", dataset.in_channels, dataset.std))
