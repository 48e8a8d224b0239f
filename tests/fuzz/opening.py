"""What a stranger's file may do to whoever opens it: raise TicketError, within its bounds; nothing else."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import dataclass, field
from pathlib import Path

from tombola.errors import TicketError
from tombola.ticket import Ticket
from tombola.ticket.anatomy import anatomy

MAX_WEIGHTS = 1 << 14


@dataclass
class Tally:
    """What was seen so far."""

    inputs: int = 0
    sealed: int = 0
    opened: int = 0
    slowest: float = 0.0
    memory_used: float = 0.0
    refusals: dict[str, int] = field(default_factory=dict)


def allowed_memory(size: int, max_weights: int = MAX_WEIGHTS) -> int:
    """What Ticket.load promises for a file of `size` bytes."""
    return 12 * max_weights + 1024 * size + (1 << 20)


def open_ticket(data: bytes, path: Path, tally: Tally) -> None:
    """Load, rebuild and verify a file: everything but TicketError is let out, and AssertionError raised
    where it took more memory than is promised. tracemalloc must be tracing.
    """
    path.write_bytes(data)
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    begin = time.perf_counter()
    try:
        ticket = Ticket.load(path, max_weights=MAX_WEIGHTS)
        used = tracemalloc.get_traced_memory()[1] - before
        ticket.weights()
        anatomy(ticket)
        repr(ticket)
        tally.opened += 1
        ticket.verify()
    except TicketError as error:
        message = str(error).removeprefix(f"{path}: ")
        assert "\n" not in message
        assert len(message) < 1000
        kind = " ".join(word for word in message.split() if word.isalpha())[:60]
        tally.refusals[kind] = tally.refusals.get(kind, 0) + 1
        used = tracemalloc.get_traced_memory()[1] - before if "ticket" not in locals() else 0
    tally.inputs += 1
    tally.slowest = max(tally.slowest, time.perf_counter() - begin)
    tally.memory_used = max(tally.memory_used, used / allowed_memory(len(data)))
    assert used <= allowed_memory(len(data)), f"{used} bytes for a file of {len(data)}"
