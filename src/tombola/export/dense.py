"""Ticket -> a safetensors file of the dense float32 network. Needs no torch."""

from __future__ import annotations

import os

import safetensors.numpy

from tombola.export.state import complete, refuse_name
from tombola.files import METADATA, write_atomically
from tombola.ticket import Ticket


def to_safetensors(ticket: Ticket, path: str | os.PathLike[str]) -> int:
    """Write the network's state dict to `path`; returns the number of bytes. Equal tickets give equal
    files.

    `model.load_state_dict(safetensors.torch.load_file(path))` takes it, for a plain model of the
    architecture whose only buffers are those of its normalisation layers. A tied tensor is stored
    under one of its names, as in the ticket: `safetensors.torch.load_model(model, path)` loads those
    too (or `Ticket.apply`, or `strict=False`).

    Raises TicketError for a tensor that is called as the file's own metadata is; OSError, with an old file
    left intact.
    """
    state = complete(ticket)
    refuse_name(state, METADATA)
    # One entry of metadata at most: the library writes several in random order. Loaders that serve
    # several frameworks look for this one.
    encoded = safetensors.numpy.save(state, metadata={"format": "pt"})
    write_atomically(path, encoded)
    return len(encoded)
