"""The whole network of a ticket as arrays, with numpy alone."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tombola.errors import TicketError
from tombola.ticket import Ticket

State = dict[str, npt.NDArray[Any]]


def complete(ticket: Ticket) -> State:
    """Every tensor of the plain model's `state_dict`, by dotted name, each in its own shape.

    Random tensors (+0.0 where pruned), fixed parameters and normalisation statistics as float32, and
    beside each `running_mean` the `num_batches_tracked` that torch keeps there (int64, 0: it is read
    in training alone). Other buffers of a model are in no ticket. A tied tensor has one name.
    """
    state: State = dict(ticket.weights())
    state |= {fixed.name: np.full(fixed.shape, fixed.value, dtype=np.float32) for fixed in ticket.fixed}
    for name, values in _buffers(ticket).items():
        add(state, name, values)
    return state


def add(state: MutableMapping[str, Any], name: str, values: object) -> None:
    """Put `values` under a name that is derived from a tensor's. Raises TicketError where it is taken: no
    model of torch has such names, but a stranger's ticket may.
    """
    refuse_name(state, name)
    state[name] = values


def refuse_name(state: Mapping[str, Any], name: str) -> None:
    """Raise TicketError where a tensor has a name that the exported file needs itself."""
    if name in state:
        raise TicketError(f"the ticket has a tensor {name!r:.80}, whose name the exported file needs itself")


def _buffers(ticket: Ticket) -> State:
    """The normalisation statistics, with a batch counter for each layer that has any."""
    state: State = {}
    for name, values in ticket.statistics.items():
        state[name] = values
        prefix, _, last = name.rpartition("running_mean")
        if not last and (not prefix or prefix.endswith(".")):
            state[f"{prefix}num_batches_tracked"] = np.zeros((), dtype=np.int64)
    return state
