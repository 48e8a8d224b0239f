"""Masks and generations <-> code words, near the entropy bound.

One range coder runs through all tensors in the recipe's order. For each tensor it codes first the
mask over the alive positions in flat (C) order, as Bernoulli(kept / alive), then, if its kept
weights are of more than one generation, the generation of each kept weight in flat order, as its
rank among the generations present, under their relative frequencies. A tensor of which all or none
is kept costs nothing, nor does a single generation.

The integer counts behind the probabilities travel beside the code words (`counts.py`). A
probability is the double nearest to the quotient of two counts; `perfect=False` selects constriction's
fast fixed-point rounding, which is part of the format.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from constriction import stream

from tombola.errors import TicketError
from tombola.mask import BoolArray
from tombola.source.recipe import Generations

# Submodules of an extension module: attributes, not importable by name.
Bernoulli, Categorical = stream.model.Bernoulli, stream.model.Categorical
RangeEncoder, RangeDecoder = stream.queue.RangeEncoder, stream.queue.RangeDecoder

CodeWords = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class TensorCounts:
    """How many weights are kept, and how many of these are of each generation present (ascending)."""

    kept: int
    generations: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class TensorMask:
    """What is coded of one tensor: the flat mask over its alive positions, and the generations of
    its kept weights in flat order.
    """

    kept: BoolArray
    generations: Generations

    def counts(self) -> TensorCounts:
        """The integer counts that the decoder needs."""
        present, numbers = np.unique(self.generations, return_counts=True)
        return TensorCounts(
            int(np.count_nonzero(self.kept)),
            tuple((int(g), int(n)) for g, n in zip(present, numbers, strict=True)),
        )


def encode(tensors: Sequence[TensorMask]) -> tuple[CodeWords, list[TensorCounts]]:
    """Code words (32 bits each) and the counts that `decode` needs."""
    encoder = RangeEncoder()
    all_counts = []
    for tensor in tensors:
        counts = tensor.counts()
        if 0 < counts.kept < tensor.kept.size:
            model = Bernoulli(counts.kept / tensor.kept.size, perfect=False)
            encoder.encode(tensor.kept.astype(np.int32), model)
        if len(counts.generations) > 1:
            present = np.array([generation for generation, _ in counts.generations], dtype=np.int32)
            ranks = np.searchsorted(present, tensor.generations).astype(np.int32)
            encoder.encode(ranks, _generation_model(counts))
        all_counts.append(counts)
    return encoder.get_compressed(), all_counts


def decode(words: CodeWords, alive: Sequence[int], counts: Sequence[TensorCounts]) -> list[TensorMask]:
    """The inverse of `encode`; `alive` is the number of alive positions of each tensor.

    Raises TicketError where the words do not hold what the counts say. Too few or too many words are
    not noticed here: that is for whoever encodes again and compares.
    """
    decoder = RangeDecoder(np.ascontiguousarray(words, dtype=np.uint32))
    return [_decode_tensor(decoder, size, count) for size, count in zip(alive, counts, strict=True)]


def _decode_tensor(decoder: Any, alive: int, counts: TensorCounts) -> TensorMask:
    kept = np.full(alive, counts.kept > 0, dtype=np.bool_)
    generations = np.full(counts.kept, counts.generations[0][0] if counts.generations else 0, dtype=np.int32)
    try:
        if 0 < counts.kept < alive:
            kept = decoder.decode(Bernoulli(counts.kept / alive, perfect=False), alive).astype(np.bool_)
        if len(counts.generations) > 1:
            present = np.array([generation for generation, _ in counts.generations], dtype=np.int32)
            generations = present[decoder.decode(_generation_model(counts), counts.kept)]
    except (AssertionError, ValueError) as error:
        raise TicketError(f"the ticket's code words are damaged: {error}") from None
    decoded = TensorMask(kept, generations)
    if decoded.counts() != counts:
        raise TicketError("the ticket's code words do not hold as many weights as its counts say")
    return decoded


def _generation_model(counts: TensorCounts) -> Any:
    numbers = np.array([number for _, number in counts.generations], dtype=np.float64)
    return Categorical(numbers / counts.kept, perfect=False)
