"""Ticket -> a plain torch model of the same architecture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import nn

from tombola.errors import TicketError
from tombola.source.buffers import statistics_buffers
from tombola.source.init import FloatArray
from tombola.source.recipe import FixedTensor, Shape


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
    shapes = {name: array.shape for name, array in values.items()}
    check_architecture(model, shapes, {name: array.shape for name, array in statistics.items()})
    parameters, buffers = dict(model.named_parameters()), _statistics(model)
    for name, tensor in (*parameters.items(), *buffers.items()):
        if tensor.dtype not in (torch.float32, torch.float64):  # which alone hold the bits of a float32
            raise TicketError(f"{name!r} of the model is {tensor.dtype}: apply a ticket to a float32 model")
    for name, value in values.items():
        parameters[name].copy_(torch.from_numpy(value))
    for name, value in statistics.items():
        buffers[name].copy_(torch.from_numpy(value.copy()))


def check_architecture(
    model: nn.Module, parameters: Mapping[str, Shape], statistics: Mapping[str, Shape]
) -> None:
    """Raise TicketError naming the first parameter, in the model's order, or else statistic, that a ticket
    of these shapes has not, has in another shape, or has beside those of the model. Values are not looked
    at: a model on the meta device will do.
    """
    own = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    if any(".parametrizations." in f".{name}" for name in own):
        raise TicketError("the model has a Source attached: apply a ticket to a plain model")
    _check("parameter", own, parameters)
    _check("statistic", {name: tuple(b.shape) for name, b in _statistics(model).items()}, statistics)


def _statistics(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: b for name, b in statistics_buffers(model).items() if b.is_floating_point()}


def _check(what: str, expected: Mapping[str, Shape], given: Mapping[str, Shape]) -> None:
    for name, shape in expected.items():
        if name not in given:
            raise TicketError(
                f"the ticket is for another architecture: the model's {what} {name!r} has shape {shape}, "
                "the ticket has no such tensor"
            )
        if given[name] != shape:
            raise TicketError(
                f"the ticket is for another architecture: {what} {name!r} has shape {shape} in the model "
                f"and {given[name]} in the ticket"
            )
    for name, shape in given.items():
        if name not in expected:
            raise TicketError(
                f"the ticket is for another architecture: it has {what} {name!r} of shape {shape}, "
                "the model has no such tensor"
            )
