"""Ticket -> a plain torch model of the same architecture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import nn

from tombola.errors import TicketError
from tombola.source.buffers import statistics_buffers
from tombola.source.init import FloatArray
from tombola.source.recipe import FixedTensor


@torch.no_grad()
def write_into(
    model: nn.Module,
    weights: Mapping[str, FloatArray],
    fixed: Iterable[FixedTensor],
    statistics: Mapping[str, FloatArray],
) -> None:
    """Copy the arrays into the parameters and buffers of the same names, after checking them all.

    Raises TicketError naming the first parameter, in the model's order, that the ticket has not, has
    in another shape, or has beside those of the model.
    """
    values: dict[str, FloatArray] = dict(weights)
    values |= {f.name: np.full(f.shape, f.value, dtype=np.float32) for f in fixed}
    parameters = dict(model.named_parameters())
    if any(".parametrizations." in f".{name}" for name in parameters):
        raise TicketError("the model has a Source attached: apply a ticket to a plain model")
    _check("parameter", {name: tuple(p.shape) for name, p in parameters.items()}, values)
    buffers = {name: b for name, b in statistics_buffers(model).items() if b.is_floating_point()}
    _check("statistic", {name: tuple(b.shape) for name, b in buffers.items()}, statistics)
    for name, value in values.items():
        parameters[name].copy_(torch.from_numpy(value))
    for name, value in statistics.items():
        buffers[name].copy_(torch.from_numpy(value.copy()))


def _check(what: str, expected: Mapping[str, tuple[int, ...]], given: Mapping[str, FloatArray]) -> None:
    for name, shape in expected.items():
        if name not in given:
            raise TicketError(
                f"the ticket is for another architecture: the model's {what} {name!r} has shape {shape}, "
                "the ticket has no such tensor"
            )
        if given[name].shape != shape:
            raise TicketError(
                f"the ticket is for another architecture: {what} {name!r} has shape {shape} in the model "
                f"and {given[name].shape} in the ticket"
            )
    for name, values in given.items():
        if name not in expected:
            raise TicketError(
                f"the ticket is for another architecture: it has {what} {name!r} of shape {values.shape}, "
                "the model has no such tensor"
            )
