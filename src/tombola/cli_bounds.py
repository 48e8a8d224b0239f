"""The command `tombola bounds`: what theory says of a network, and what trials say of the theory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tombola.cli_bounds_output import print_bounds
from tombola.cli_output import print_densities, print_json
from tombola.cli_status import torch_needed
from tombola.errors import ArgumentError

_Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]


@dataclass(frozen=True)
class Theorem:
    """What the theorems are asked."""

    sizes: str | None = None
    """Neurons of each layer of the network to be found, inputs first; None: 784,300,100,10."""
    error: float = 0.01
    """How far outputs may be from the network's, for inputs and parameters in [-1, 1]."""
    delta: float = 0.05
    """Probability with which the construction may fail."""
    constant: float | None = None
    """The theorems' constant C, which they do not give; None: 1 / log 2, the least."""


@dataclass(frozen=True)
class Trials:
    """What is measured beside the theorems."""

    trials: int = 2000
    """Trials of each measurement."""
    seed: int = 0
    """Seed of the trials."""


@dataclass(frozen=True)
class Model:
    """The model whose layers --densities shows."""

    model: str = "conv6"
    """Architecture, as in search."""
    width: float = 1.0
    """Factor on the channels and hidden layers of the model."""
    in_channels: int = 3
    """Channels of an image."""
    classes: int = 10
    """Number of classes."""
    image_size: int = 32
    """Height, and width, of an image."""
    dense_first: _Flag = False
    """Keep the first layer dense; each rule spreads what is left over the others."""
    dense_last: _Flag = False
    """Keep the last layer dense."""
    dense_depthwise: _Flag = False
    """Keep depthwise convolutions dense."""


def bounds(
    theorem: Theorem,
    trial: Trials,
    network: Model,
    densities: _Flag = False,
    measure: _Flag = False,
    density: float = 0.5,
    png: Path | None = None,
    json: _Flag = False,
) -> int:
    """What theory says of a network: the widths at which a random one holds it, by each construction; and
    with --densities, the layerwise densities of an Erdős–Rényi source under every rule.

    Args:
        theorem: What the theorems are asked.
        trial: What --measure does.
        network: The model for --densities.
        densities: Show the density of each layer of a model under each rule instead.
        measure: Measure by trials what subset sums and redraws need, beside the theorems.
        density: Overall density of the source.
        png: Draw what is measured, or the densities, into this picture.
        json: Print as JSON.
    """
    if densities:
        if measure or theorem != Theorem() or trial != Trials():
            raise ArgumentError(
                "--densities shows a model's layers: it goes without --measure, and what is asked of theorems"
            )
        _densities(network, density, png, json)
        return 0
    if network != Model():
        raise ArgumentError("the options of a model go with --densities; widths are of --sizes, inputs first")
    if trial != Trials() and not measure:
        raise ArgumentError("--trials and --seed are of what is measured: give --measure")
    if png is not None and not measure:
        raise ArgumentError("--png draws what is measured: give --measure, or --densities")
    from tombola.experiments.theory_bounds import widths_record

    record = widths_record(theorem.sizes, density, theorem.error, theorem.delta, theorem.constant)
    if measure:
        from tombola.theory.measurements import measure as measured

        record["measured"] = measured(trial.trials, trial.seed)
    if png is not None:
        from tombola.report.bounds import draw_bounds

        draw_bounds(record["measured"], png)
    print_json(record) if json else print_bounds(record)
    return 0


def _densities(network: Model, density: float, png: Path | None, json: bool) -> None:
    with torch_needed("building a model"):
        from tombola.experiments.layer_densities import density_table
    rules, sizes = density_table(
        network.model,
        network.width,
        density,
        in_channels=network.in_channels,
        classes=network.classes,
        image_size=network.image_size,
        dense_first=network.dense_first,
        dense_last=network.dense_last,
        dense_depthwise=network.dense_depthwise,
    )
    if png is not None:
        from tombola.report.densities import draw_densities

        title = f"{network.model}, width {network.width:g}: layers of a source of density {density:g}"
        draw_densities(rules, title, png)
    if json:
        told = {"model": network.model, "width": network.width, "density": density}
        print_json({**told, "weights": sizes, "densities": rules})
    else:
        print_densities(rules, sizes)
