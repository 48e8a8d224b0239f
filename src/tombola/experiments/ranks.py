"""The processes that make one run together: who this one is, and what all must agree on.

`torchrun` starts them. Everything that is drawn is a function of the seed, so all processes have the same
weights, masks and redraws without a word; what goes between them are the scores' gradients and a few numbers.
"""

from __future__ import annotations

import hashlib
import os
import socket
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from tombola.data.loader import Share
from tombola.errors import ArgumentError, RunError

T = TypeVar("T")
_VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class Ranks:
    """This process among those of the run. Without torchrun, the only one: then nothing here costs anything.

    Every method but `share` and `wrap` has to be called by all of them, in the same order.
    """

    def __init__(self, rank: int = 0, count: int = 1) -> None:
        self.share = Share(rank, count)

    @property
    def first(self) -> bool:
        """Whether this is the process that reads and writes the run's folder, and talks."""
        return self.share.rank == 0

    @property
    def alone(self) -> bool:
        """Whether there is no other process."""
        return self.share.count == 1

    def total(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum over all processes, the same bits for each."""
        if not self.alone:
            tensor = tensor.clone()
            dist.all_reduce(tensor)
        return tensor

    def greatest(self, number: int) -> int:
        """The greatest of all processes' numbers."""
        if self.alone:
            return number
        given = torch.tensor(number)
        dist.all_reduce(given, dist.ReduceOp.MAX)
        return int(given)

    def from_first(self, make: Callable[[], T]) -> T:
        """What `make` gives to the first process, which alone calls it."""
        made = [make() if self.first else None]
        if not self.alone:
            dist.broadcast_object_list(made)
        return made[0]  # type: ignore[return-value]

    def of_each(self, mine: T) -> list[T]:
        """What each process gives, by rank."""
        if self.alone:
            return [mine]
        given: list[Any] = [None] * self.share.count
        dist.all_gather_object(given, mine)
        return given

    def spread(self, tensors: Iterable[torch.Tensor]) -> None:
        """Set each of `tensors`, in place, to what it is in the first process."""
        if not self.alone:
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def wrap(self, model: nn.Module, *, partly_used: bool = False) -> nn.Module:
        """`model`, averaging its gradients over all processes. Its buffers are not sent at every step: masks
        come out of the scores, and statistics are those of the whole batch (see `synchronise_batch_norm`).
        With `partly_used` not every trained parameter need take part in every step, which costs a look at
        the whole graph.
        """
        if self.alone:
            return model
        with warnings.catch_warnings():  # newer versions of torch have another name for the option
            warnings.simplefilter("ignore")
            return DistributedDataParallel(model, broadcast_buffers=False, find_unused_parameters=partly_used)

    def check_data(self, fingerprint: Callable[[], str]) -> None:
        """Raise RunError naming the processes whose data are not those of the first. Batches of other data
        would be others, or fewer, and the processes wait for each other for ever.
        """
        if self.alone:
            return
        given = self.of_each((socket.gethostname(), fingerprint()))
        wrong = [f"rank {rank} on {host}" for rank, (host, data) in enumerate(given) if data != given[0][1]]
        if wrong:
            raise RunError(f"the processes do not find the same data: other than rank 0 {', '.join(wrong)}")

    def check_agreement(self, state: Mapping[str, Any]) -> None:
        """Raise RunError naming the processes whose tensors in `state` are not those of the first, and the
        first tensor that differs.
        """
        if self.alone:
            return
        mine = {name: _digest(tensor) for name, tensor in state.items() if isinstance(tensor, torch.Tensor)}
        # A few bytes each as a rule; by name only where something is wrong.
        whole = hashlib.blake2b("".join(mine.values()).encode(), digest_size=8).hexdigest()
        if len(set(self.of_each(whole))) == 1:
            return
        given = self.of_each((socket.gethostname(), mine))
        first = given[0][1]
        wrong = [
            f"rank {rank} on {host} ({next((n for n in first if digests.get(n) != first[n]), 'its names')})"
            for rank, (host, digests) in enumerate(given)
            if digests != first
        ]
        raise RunError(
            f"the processes do not agree, no checkpoint was written: other than rank 0 {', '.join(wrong)}"
        )


ALONE = Ranks()


@contextmanager
def joined(*, gpus: bool = True) -> Iterator[Ranks]:
    """Join the other processes that torchrun has started, if it has; leave them at the end.

    Where there are GPUs, and `gpus` says that they may be used, each takes the one of its local rank. Raises
    ArgumentError for variables that are no numbers, or for fewer GPUs than processes on a machine.
    """
    if dist.is_available() and dist.is_initialized():
        yield Ranks(dist.get_rank(), dist.get_world_size())
        return
    if not dist.is_available() or any(name not in os.environ for name in _VARIABLES):
        yield Ranks()
        return
    rank, count = _number("RANK"), _number("WORLD_SIZE")
    if count == 1:
        yield Ranks()
        return
    _number("MASTER_PORT")
    gpus = gpus and torch.cuda.is_available()
    if gpus:
        local, there = _number("LOCAL_RANK"), torch.cuda.device_count()
        if local >= there:
            raise ArgumentError(
                f"process {local} of this machine needs a GPU of its own, but there are {there}: "
                "start fewer, or give --device cpu"
            )
        torch.cuda.set_device(local)
    # Before there is a group: the functions of this module take the one that is there for a default, and so
    # keep it for ever (torch imports them on the way to a DistributedDataParallel). Where a group lasts, its
    # threads may let go of a tensor while Python ends, which aborts the process.
    from torch.distributed.nn import functional  # noqa: F401

    try:
        # gloo always: what is not on a GPU goes by it.
        dist.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo")
        yield Ranks(rank, count)
    except BaseException as error:
        # What the failed frames hold of the group has to go before the group does: gloo waits for its threads
        # as the last of it goes, and where that is Python's clearing up they wait for Python in their turn.
        _let_go(error)
        # gloo and NCCL have no class of errors that all of theirs are of.
        if isinstance(error, RuntimeError) and (
            isinstance(error, dist.DistError)
            or any(word in str(error) for word in ("gloo", "Gloo", "NCCL", "peer"))
        ):
            raise RunError(
                "another process of the run has ended, or cannot be reached; see its own message"
            ) from error
        raise
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def _let_go(error: BaseException) -> None:
    """Empty the frames that `error` came through, and those of the errors that it came of."""
    came_of: list[BaseException | None] = [error]
    done: set[int] = set()
    while came_of:
        error_of = came_of.pop()
        if error_of is not None and id(error_of) not in done:
            done.add(id(error_of))
            traceback.clear_frames(error_of.__traceback__)
            came_of += [error_of.__cause__, error_of.__context__]


def _number(name: str) -> int:
    try:
        return int(os.environ.get(name, "0"))
    except ValueError:
        raise ArgumentError(f"{name} must be a number, got {os.environ[name]!r}") from None


def _digest(tensor: torch.Tensor) -> str:
    array = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
    return hashlib.blake2b(array.data, digest_size=8).hexdigest()
