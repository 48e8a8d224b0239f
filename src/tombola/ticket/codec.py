"""Masks and redraws <-> code words, near the entropy bound.

One range coder runs through all tensors in the recipe's order. For each tensor it codes first the
mask over the alive positions in flat (C) order, then what redraws made of the kept weights, in flat
order: the rank of each one's generation among those present, or whether its sign is flipped. Each of
these sequences is coded under the counts of its own symbols, which travel beside the code words
(`counts.py`); a sequence of one symbol costs nothing.

docs/format.md says how counts become the fixed-point probabilities of constriction's
`Categorical(counts, perfect=False)`, and is the reference should that library ever change.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from constriction import stream

from tombola.errors import TicketError
from tombola.mask import BoolArray

# Submodules of an extension module: attributes, not importable by name.
Categorical = stream.model.Categorical
RangeEncoder, RangeDecoder = stream.queue.RangeEncoder, stream.queue.RangeDecoder

CodeWords = npt.NDArray[np.uint32]
Redraws = npt.NDArray[Any]
"""Of each kept weight in flat order, either its generation (unsigned integers, of the smallest type that
holds them) or, for weights of constant magnitude, whether its sign is other than in generation 0 (bool)."""

MAX_SYMBOLS = (1 << 24) - 2
"""The most generations of one tensor that the coder tells apart."""

_WORD_BITS = 32
# Symbols are handed to the coder in pieces, as int32: memory stays small whatever the tensor.
_PIECE = 1 << 18
# Generations below this are told apart by table.
_FEW = 1 << 12


@dataclass(frozen=True)
class TensorCounts:
    """How many weights are kept, and of these either how many are of each generation present
    (ascending; never empty unless nothing is kept) or, in `flips` >= 1, how many have their sign flipped.
    """

    kept: int
    generations: tuple[tuple[int, int], ...]
    flips: int = 0

    @property
    def numbers(self) -> list[int]:
        """How often each symbol of the redraws occurs."""
        return [self.kept - self.flips, self.flips] if self.flips else [n for _, n in self.generations]


@dataclass(frozen=True)
class TensorMask:
    """What is coded of one tensor: the flat mask over its alive positions, and the redraws of the
    kept weights.
    """

    kept: BoolArray
    redraws: Redraws

    def counts(self) -> TensorCounts:
        """The integer counts that the decoder needs."""
        kept = int(np.count_nonzero(self.kept))
        if self.redraws.dtype == np.bool_:
            return TensorCounts(kept, (), int(np.count_nonzero(self.redraws)))
        return TensorCounts(kept, _tally(self.redraws))


def encode(tensors: Sequence[TensorMask]) -> tuple[CodeWords, list[TensorCounts]]:
    """Code words (32 bits each) and the counts that `decode` needs."""
    encoder = RangeEncoder()
    all_counts = []
    for tensor in tensors:
        counts = tensor.counts()
        _put(encoder, tensor.kept, [tensor.kept.size - counts.kept, counts.kept], _as_int32)
        ranks = _as_int32 if counts.flips else _ranks([generation for generation, _ in counts.generations])
        _put(encoder, tensor.redraws, counts.numbers, ranks)
        all_counts.append(counts)
    return encoder.get_compressed(), all_counts


def decode(words: CodeWords, alive: Sequence[int], counts: Sequence[TensorCounts]) -> list[TensorMask]:
    """The inverse of `encode`; `alive` is the number of alive positions of each tensor.

    Raises TicketError where the words are too few or too many for what the counts say, before anything
    is decoded, or hold something else. A surplus of a word or two is not noticed: that is for whoever
    encodes again and compares.
    """
    _check_length(words.size, alive, counts)
    decoder = RangeDecoder(np.ascontiguousarray(words, dtype=np.uint32))
    return [_decode_tensor(decoder, size, count) for size, count in zip(alive, counts, strict=True)]


def code_bits(alive: int, counts: TensorCounts) -> tuple[float, float]:
    """The empirical entropy, in bits, of one tensor's mask over its `alive` positions, and of the
    redraws of its kept weights: what the code words spend on them, to about a thousandth.
    """
    return _entropy([alive - counts.kept, counts.kept]), _entropy(counts.numbers)


def _check_length(words: int, alive: Sequence[int], counts: Sequence[TensorCounts]) -> None:
    least = most = 0.0
    for size, count in zip(alive, counts, strict=True):
        for numbers in ([size - count.kept, count.kept], count.numbers):
            bits = _entropy(numbers)
            least += bits
            # Each symbol gets a part of 2^24 beside its share; 2^32 ranges are rounded to 2^24 parts, and
            # that loses at most 1/128 bit a symbol.
            leak = -math.log2(1 - min(len(numbers), MAX_SYMBOLS) / (1 << 24))
            most += bits + sum(numbers) * (leak + 1 / 128) if bits else 0.0
    # Sealing the code takes two words.
    if not least - 2 * _WORD_BITS <= words * _WORD_BITS <= most + 3 * _WORD_BITS:
        asked = round(least / _WORD_BITS)
        raise TicketError(f"the ticket holds {words} code words, where its counts ask for about {asked}")


def _decode_tensor(decoder: Any, alive: int, counts: TensorCounts) -> TensorMask:
    try:
        kept = np.empty(alive, dtype=np.bool_)
        _take(decoder, kept, [alive - counts.kept, counts.kept], np.array([False, True]))
        symbols = np.array([False, True]) if counts.flips else _smallest([g for g, _ in counts.generations])
        redraws: Redraws = np.empty(counts.kept, dtype=symbols.dtype)
        _take(decoder, redraws, counts.numbers, symbols)
    except (AssertionError, ValueError) as error:
        first = str(error).partition("\n")[0]
        raise TicketError(f"the ticket's code words are damaged: {first:.200}") from None
    decoded = TensorMask(kept, redraws)
    if decoded.counts() != counts:
        raise TicketError("the ticket's code words do not hold as many weights as its counts say")
    return decoded


def narrow(generations: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    """`generations` in the smallest unsigned type that holds them: there may be one for every weight."""
    return generations.astype(np.min_scalar_type(int(generations.max(initial=0))))


def _smallest(generations: Sequence[int]) -> npt.NDArray[np.integer]:
    return narrow(np.array(generations, dtype=np.int64))


def _put(
    encoder: Any,
    values: npt.NDArray[Any],
    numbers: Sequence[int],
    ranks: Callable[[npt.NDArray[Any]], npt.NDArray[np.int32]],
) -> None:
    """Encode `values`, whose `ranks` are symbols that occur `numbers` times each."""
    if np.count_nonzero(numbers) > 1:
        model = _model(numbers)
        for piece in _pieces(values):
            encoder.encode(ranks(piece), model)


def _take(decoder: Any, values: npt.NDArray[Any], numbers: Sequence[int], symbols: npt.NDArray[Any]) -> None:
    """Fill `values` with as many `symbols`, which occur `numbers` times each."""
    if np.count_nonzero(numbers) > 1:
        model = _model(numbers)
        for piece in _pieces(values):
            ranks = decoder.decode(model, piece.size)
            piece[:] = ranks if piece.dtype == np.bool_ else symbols[ranks]
    else:
        values[:] = symbols[int(np.argmax(numbers))] if values.size else 0


def _model(numbers: Sequence[int]) -> Any:
    return Categorical(np.array(numbers, dtype=np.float64), perfect=False, lazy=False)


def _entropy(numbers: Sequence[int]) -> float:
    present = np.array([number for number in numbers if number], dtype=np.float64)
    total = present.sum()
    return float(-(present * np.log2(present / total)).sum())


def _tally(generations: npt.NDArray[np.integer]) -> tuple[tuple[int, int], ...]:
    highest = int(generations.max(initial=0))
    if highest >= _FEW:
        present, numbers = np.unique(generations, return_counts=True)
    else:
        counts = np.zeros(highest + 1, dtype=np.int64)
        for piece in _pieces(generations):
            counts += np.bincount(piece, minlength=highest + 1)
        present = np.flatnonzero(counts)
        numbers = counts[present]
    return tuple(zip(present.tolist(), numbers.tolist(), strict=True))


def _ranks(generations: Sequence[int]) -> Callable[[npt.NDArray[Any]], npt.NDArray[np.int32]]:
    """What maps each of the ascending `generations` to its rank."""
    present = np.array(generations, dtype=np.int64)
    if present.max(initial=0) >= _FEW:
        return lambda piece: np.searchsorted(present, piece).astype(np.int32)
    table = np.zeros(present.max(initial=0) + 1, dtype=np.int32)
    table[present] = np.arange(present.size)
    return lambda piece: table[piece]


def _as_int32(piece: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    return piece.astype(np.int32)


def _pieces(values: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    return (values[start : start + _PIECE] for start in range(0, values.size, _PIECE))
