"""Ticket -> torch files that keep the zeros out, or the signs apart from the scale; and back.

Both are state dicts that `torch.load(path, weights_only=True)` reads, and that `densify` turns into one
for `load_state_dict`. A tied tensor is under one name: `load_state_dict` wants `strict=False` there.
"""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Mapping

import numpy as np
import torch

from tombola.errors import ArgumentError
from tombola.export.state import State, complete, refuse_name
from tombola.files import write_atomically
from tombola.mask import BoolArray
from tombola.source.init import FloatArray
from tombola.ticket import Ticket

Tensors = dict[str, torch.Tensor]

_SHAPE, _SCALE = ".shape", ".scale"


def to_csr(ticket: Ticket, path: str | os.PathLike[str]) -> int:
    """Write a state dict with a sparse CSR tensor for each random tensor of two dimensions or more;
    returns the number of bytes. Empty tensors stay dense.

    A tensor `name` of shape (a, b, …) is the a × (b · …) float32 matrix of its kept weights (int32
    indices), and `name.shape` an int64 tensor of the sizes: the weight of a convolution is
    `state[name].to_dense().reshape(tuple(state[name + ".shape"]))`. All else is dense.

    Raises OSError, with an old file left intact.
    """
    state = _tensors(_described(ticket))
    for name, mask in ticket.mask.items():
        if mask.ndim >= 2 and mask.size:
            state[name] = _csr(state[name].numpy(), mask)
            state[name + _SHAPE] = torch.tensor(mask.shape, dtype=torch.int64)
    return _save(state, path)


def to_ternary(ticket: Ticket, path: str | os.PathLike[str]) -> int:
    """Write a state dict with each random tensor as int8 in {-1, 0, 1}, and a scale; returns the
    number of bytes.

    `state[name + ".scale"]` (a float32 scalar) times `state[name]` is the weight, bit for bit. All else
    is dense.

    Raises ArgumentError for a ticket whose source is not `signed_constant`: its weights have more than
    one magnitude. Raises OSError, with an old file left intact.
    """
    if ticket.recipe.init != "signed_constant":
        raise ArgumentError(
            "ternary weights need a source of one magnitude, init 'signed_constant'; "
            f"the ticket's is {ticket.recipe.init!r}"
        )
    state = _described(ticket)
    for name in ticket.mask:
        weights = state[name]
        state[name] = np.sign(weights).astype(np.int8)
        state[name + _SCALE] = np.abs(weights).max(initial=0)
    return _save(_tensors(state), path)


def densify(state: Mapping[str, torch.Tensor]) -> Tensors:
    """The dense state dict of one that `to_csr` or `to_ternary` wrote, bit for bit the ticket's weights.

    What is dense already stays as it is.
    """
    dense: Tensors = {}
    for name, tensor in state.items():
        if tensor.layout is torch.sparse_csr:
            dense[name] = tensor.to_dense().reshape(tuple(state[name + _SHAPE].tolist()))
        elif name + _SCALE in state:
            dense[name] = state[name + _SCALE] * tensor.to(torch.float32)
        elif not _describes_another(name, state):
            dense[name] = tensor
    return dense


def _described(ticket: Ticket) -> State:
    """The whole network. Raises TicketError where `densify` would take a tensor for another's shape or
    scale.
    """
    state = complete(ticket)
    for name in state:
        refuse_name(state, name + _SHAPE)
        refuse_name(state, name + _SCALE)
    return state


def _describes_another(name: str, state: Mapping[str, torch.Tensor]) -> bool:
    """Whether `name` is the shape or the scale of a tensor. No name of a model's own can be: nothing
    lies below a parameter.
    """
    return any(name.endswith(end) and name.removesuffix(end) in state for end in (_SHAPE, _SCALE))


def _csr(weights: FloatArray, mask: BoolArray) -> torch.Tensor:
    kept = mask.reshape(mask.shape[0], math.prod(mask.shape[1:]))
    rows = np.zeros(kept.shape[0] + 1, dtype=np.int32)
    np.cumsum(np.count_nonzero(kept, axis=1), out=rows[1:])
    columns = np.nonzero(kept)[1].astype(np.int32)
    values = weights.reshape(kept.shape)[kept]
    with warnings.catch_warnings():  # torch calls the layout a beta, once a process
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)
        return torch.sparse_csr_tensor(
            torch.from_numpy(rows),
            torch.from_numpy(columns),
            torch.from_numpy(values),
            size=kept.shape,
            check_invariants=True,
        )


def _tensors(state: State) -> Tensors:
    return {name: torch.from_numpy(np.array(values)) for name, values in state.items()}


def _save(state: Tensors, path: str | os.PathLike[str]) -> int:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, buffer.getvalue())
    return len(buffer.getvalue())
