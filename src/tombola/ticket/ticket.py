"""Ticket: a subnetwork of a random network, as a seed and a mask. Needs no torch but for `apply`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tombola.errors import ArgumentError, TicketError, missing_extra
from tombola.files import write_atomically
from tombola.mask import Mask
from tombola.shown import Shown, Table, mask_table
from tombola.source.init import FloatArray
from tombola.source.recipe import FixedTensor, Recipe
from tombola.ticket.codec import Redraws
from tombola.ticket.container import read_file
from tombola.ticket.fit import (
    RandomNetwork,
    check_network,
    fit_description,
    fit_generations,
    fit_mask,
    fit_numbers,
    fit_statistics,
)
from tombola.ticket.flips import shortest
from tombola.ticket.format import Contents, check_metadata, read, write
from tombola.ticket.limits import MAX_WEIGHTS
from tombola.ticket.rebuild import network_digest, rebuild_weights

if TYPE_CHECKING:
    from torch import nn

# Data that a file may hold whatever its weights: statistics, names, counts.
_MAX_DATA = 1 << 24


class Ticket(Shown):
    """A strong lottery ticket: recipe of the random network, mask, generations, statistics.

    Made by `Search.ticket()`, `Ticket.from_mask` or `Ticket.load`; immutable. Two tickets are equal
    when their files are.
    """

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    @classmethod
    def from_mask(
        cls,
        source: RandomNetwork,
        mask: Mapping[str, npt.ArrayLike],
        generations: Mapping[str, npt.ArrayLike] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Ticket:
        """A ticket of any mask over a source.

        `mask` maps every tensor name of the source to booleans of its shape; `generations` maps
        names to the generation of every weight (those not named: 0), None to the source's own.
        Raises ArgumentError where names or shapes differ, the mask leaves the source's, or no ticket file can
        hold such a network (docs/format.md: names above 1024 bytes, say).
        """
        check_network(source)
        given = mask if isinstance(mask, Mask) else Mask(mask)
        ordered = fit_mask(source, given)
        whole = source.generations() if generations is None else fit_generations(source, generations)
        statistics = fit_statistics(source)
        fit_description(source.recipe, statistics)
        redraws = {}
        for tensor in source.recipe.tensors:
            kept, values = ordered[tensor.name], whole.get(tensor.name)
            numbers = np.zeros(np.count_nonzero(kept), np.int32) if values is None else values[kept]
            redraws[tensor.name] = shortest(source.recipe, tensor, kept, fit_numbers(tensor.name, numbers))
        contents = Contents(
            source.recipe,
            ordered,
            redraws,
            statistics,
            check_metadata(metadata or {}, ArgumentError),
            digest="",
        )
        return cls(replace(contents, digest=network_digest(contents)))

    @classmethod
    def load(cls, path: str | os.PathLike[str], max_weights: int = MAX_WEIGHTS) -> Ticket:
        """Read a ticket file. Runs no code from it.

        A file that asks for more than `max_weights` weights is refused before any of them is allocated.
        Memory stays below 12 bytes for each of these, 1024 for each byte of the file and a MiB, whatever
        the file says.
        Raises TicketError for a file that is foreign, truncated, damaged or too large, OSError when it
        cannot be read.
        """
        try:
            data = read_file(path, _MAX_DATA + 16 * max_weights)
            ticket = cls(read(data, max_weights))
        except TicketError as error:
            raise TicketError(f"{os.fspath(path)}: {error}") from None
        ticket.__dict__["_bytes"] = data
        return ticket

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the ticket file, atomically. Raises OSError with an old file left intact."""
        write_atomically(path, self._bytes)

    @property
    def seed(self) -> int:
        """The seed of the random network."""
        return self._contents.recipe.seed

    @property
    def recipe(self) -> Recipe:
        """How the random network is drawn."""
        return self._contents.recipe

    @property
    def mask(self) -> Mask:
        """Which weights are kept."""
        return self._contents.mask

    @property
    def redraws(self) -> dict[str, Redraws]:
        """What redraws made of each tensor's kept weights, in flat (C) order: generations (unsigned, of
        the smallest type that holds them), or, where the weights have one magnitude and it takes less
        room, booleans, True where the sign is other than in generation 0.
        """
        return {name: values.copy() for name, values in self._contents.redraws.items()}

    @property
    def density(self) -> float:
        """The fraction of all random weights that is kept."""
        return self.mask.density

    @property
    def fixed(self) -> tuple[FixedTensor, ...]:
        """The parameters that are neither drawn nor trained, with their values."""
        return self._contents.recipe.fixed

    @property
    def statistics(self) -> dict[str, FloatArray]:
        """The running statistics of the normalisation layers, by buffer name."""
        return {name: values.copy() for name, values in self._contents.statistics.items()}

    @property
    def metadata(self) -> dict[str, str]:
        """What the maker wrote about the ticket."""
        return dict(self._contents.metadata)

    @property
    def nbytes(self) -> int:
        """The size of the ticket's file, in bytes."""
        return len(self._bytes)

    @property
    def bits_per_weight(self) -> float:
        """8 · nbytes over the number of random weights, kept or not (0 where there are none)."""
        return 8 * self.nbytes / self.mask.total if self.mask.total else 0.0

    @property
    def digest(self) -> str:
        """SHA-256 over what the network is (see `verify`): the same on every machine, 64 hex digits."""
        return self._contents.digest

    def __eq__(self, other: object) -> bool:
        return self._bytes == other._bytes if isinstance(other, Ticket) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._bytes)

    def __repr__(self) -> str:
        return (
            f"Ticket(seed={self.seed}, {self.mask.total:,} weights, density {self.density:.4g}, "
            f"{self.nbytes:,} bytes, {self.bits_per_weight:.3g} bits per weight, digest {self.digest[:12]}…)"
        )

    def table(self) -> Table:
        """What notebooks show: its size, and the weights kept."""
        facts = {
            "seed": self.seed,
            "weights": self.mask.total,
            "density": self.density,
            "bytes": self.nbytes,
            "bits per weight": self.bits_per_weight,
            "digest": f"{self.digest[:12]}…",
        }
        return mask_table("Ticket", facts, self.mask)

    def weights(self) -> dict[str, FloatArray]:
        """The materialised weights, {name: float32 array}, +0.0 where pruned: drawn from the seed."""
        return rebuild_weights(self._contents)

    def verify(self, digest: str | None = None) -> None:
        """Rebuild everything and compare its digest with the stored one, and with `digest` if given.

        The digest is SHA-256 over the random tensors (name, shape, little-endian float32 weights),
        the fixed tensors and the statistics, each in the model's order.
        Raises TicketError naming both digests when they differ.
        """
        rebuilt = network_digest(self._contents)
        if digest is not None and not re.fullmatch("[0-9a-fA-F]{64}", digest):
            raise TicketError(
                f"the expected digest must be 64 hex digits, got {digest!r:.80}; the network's is {rebuilt}"
            )
        for what, expected in (("stored", self.digest), ("expected", digest)):
            if expected is not None and rebuilt != expected.lower():
                raise TicketError(
                    f"the network rebuilt has digest {rebuilt}, but the {what} one is {expected}"
                )

    def apply(self, model: nn.Module) -> nn.Module:
        """Write weights, fixed parameters and statistics into a fresh `model` of the architecture;
        returns the model.

        Raises TicketError naming the first tensor that differs, with both shapes; the model is then
        unchanged. Raises TombolaError where torch is not installed.
        """
        try:
            from tombola.ticket.apply import write_into
        except ModuleNotFoundError:
            raise missing_extra("applying a ticket to a model", "torch") from None
        write_into(model, self.weights(), self.fixed, self._contents.statistics)
        return model

    def check_fits(self, model: nn.Module) -> None:
        """Raise TicketError where `apply` would, going by names and shapes alone: nothing is drawn, and
        `model` may be on torch's meta device, where it takes no memory.
        """
        try:
            from tombola.ticket.apply import check_architecture
        except ModuleNotFoundError:
            raise missing_extra("applying a ticket to a model", "torch") from None
        shapes = self.mask.shapes | {fixed.name: fixed.shape for fixed in self.fixed}
        check_architecture(model, shapes, {n: v.shape for n, v in self._contents.statistics.items()})

    @cached_property
    def _bytes(self) -> bytes:
        return write(self._contents)
