"""Recipe: all that is needed to draw a source network again, with numpy alone.

A recipe names every random tensor with its shape and fan-in, and every parameter that is fixed at
one value. With the seed it determines each weight of each generation, and S_ER, on any machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tombola.errors import ArgumentError
from tombola.mask import BoolArray, Mask
from tombola.rng import RUN, WORD_RANGE, Stream, Words, words_of
from tombola.source.init import FloatArray, draw

Shape = tuple[int, ...]
Generations = npt.NDArray[np.int32]

# Within these bounds no weight underflows to 0 or overflows.
MAX_FAN_IN = 1 << 31
MIN_FAN_IN = 2.0**-31
MIN_FAN_DENSITY = 2.0**-31
_FEW = 1 << 16
_A_FEW_EACH = 8


@dataclass(frozen=True)
class RandomTensor:
    """One random tensor: `fan_in` > 0 inputs per output, its distribution's scale over
    √`fan_density`, and what belongs to S_ER: each entry for `alive_words` of its 2^32 words, or, where
    `alive_count` is given, exactly so many.
    """

    name: str
    shape: Shape
    fan_in: float
    fan_density: float = 1.0
    alive_words: int = WORD_RANGE
    alive_count: int | None = None

    @property
    def size(self) -> int:
        """The number of weights, m_l."""
        return math.prod(self.shape)

    @property
    def is_dense(self) -> bool:
        """Whether every entry is alive without drawing."""
        return self.alive_words == WORD_RANGE and self.alive_count is None


@dataclass(frozen=True)
class FixedTensor:
    """A parameter that is neither drawn nor trained: `value` everywhere."""

    name: str
    shape: Shape
    value: float


@dataclass(frozen=True)
class Recipe:
    """Seed, distribution, random tensors (in the model's order) and fixed tensors."""

    seed: int
    init: str
    tensors: tuple[RandomTensor, ...]
    fixed: tuple[FixedTensor, ...] = ()

    def alive(self, tensor: RandomTensor) -> BoolArray:
        """S_ER of one tensor: independent Bernoulli entries (paper B, section 2, "ER Networks"), or the
        exact count whose words are smallest, ties to the lower index.
        """
        stream = Stream(self.seed, tensor.name, "source")
        if tensor.alive_count is None:
            return stream.below(tensor.size, tensor.alive_words).reshape(tensor.shape)
        return _smallest(stream.words(tensor.size), tensor.alive_count).reshape(tensor.shape)

    def mask(self) -> Mask:
        """S_ER of every tensor."""
        return Mask({tensor.name: self.alive(tensor) for tensor in self.tensors})

    def initial(self, tensor: RandomTensor) -> FloatArray:
        """All weights of generation 0, in the tensor's shape, alive or not."""
        weights = np.empty(tensor.size, dtype=np.float32)
        for start in range(0, tensor.size, RUN):
            part = weights[start : start + RUN]
            part[:] = self.initial_run(tensor, start, part.size)
        return weights.reshape(tensor.shape)

    def initial_run(self, tensor: RandomTensor, start: int, count: int) -> FloatArray:
        """The weights of generation 0 at flat indices `start` … start + count - 1."""
        words = self._stream(tensor, 0).words(count, start)
        return draw(self.init, words, tensor.fan_in, tensor.fan_density)

    def redrawn(self, tensor: RandomTensor, generation: int, indices: npt.NDArray[np.int64]) -> FloatArray:
        """The weights of one generation at flat indices: a pure function of (seed, tensor,
        generation, index), so of no other index asked for.
        """
        words = self._stream(tensor, generation).words_at(indices)
        return draw(self.init, words, tensor.fan_in, tensor.fan_density)

    def weights(self, tensor: RandomTensor, generations: Generations | None) -> FloatArray:
        """Every weight in the generation given for it (of the tensor's shape; None: all 0)."""
        weights = self.initial(tensor)
        if generations is not None:
            later = np.flatnonzero(generations)
            self.overwrite(weights, tensor, later, generations.reshape(-1)[later])
        return weights

    def overwrite(
        self,
        weights: FloatArray,
        tensor: RandomTensor,
        indices: npt.NDArray[np.int64],
        generations: npt.NDArray[np.integer],
    ) -> None:
        """Set, in place, the weights at flat `indices` to their values of `generations` (one each)."""
        weights.reshape(-1)[indices] = self.values(tensor, indices, generations)

    def values(
        self, tensor: RandomTensor, indices: npt.NDArray[np.int64], generations: npt.NDArray[np.integer]
    ) -> FloatArray:
        """The weights at flat `indices` (one may come again), each in the generation beside it."""
        present, which = ranked(generations)
        streams = [self._stream(tensor, generation) for generation in present.tolist()]
        return draw(self.init, words_of(streams, which, indices), tensor.fan_in, tensor.fan_density)

    def _stream(self, tensor: RandomTensor, generation: int) -> Stream:
        return Stream(self.seed, tensor.name, "weight", generation)


def _smallest(words: Words, count: int) -> BoolArray:
    if count == 0:
        return np.zeros(words.size, dtype=np.bool_)
    cut = _in_order(words, count - 1)
    found: BoolArray = words < cut
    tied = np.flatnonzero(words == cut)
    found[tied[: count - int(np.count_nonzero(found))]] = True
    return found


def _in_order(words: Words, place: int) -> np.uint32:
    """The entry that has `place` others before it, in ascending order. Without a copy of all: their upper
    halves are counted, part by part, and those words alone partitioned that share the entry's.
    """
    parts = [words[start : start + RUN] for start in range(0, words.size, RUN)]
    counts = np.zeros(1 << 16, dtype=np.int64)
    for part in parts:
        counts += np.bincount(part >> 16, minlength=1 << 16)
    below = np.cumsum(counts)
    upper = int(np.searchsorted(below, place, side="right"))
    among = np.concatenate([part[part >> 16 == upper] for part in parts])
    left = place - int(below[upper] - counts[upper])
    found: np.uint32 = np.partition(among, left)[left]
    return found


def ranked(generations: npt.NDArray[np.integer]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The generations present, ascending, and the rank of each entry among them."""
    if generations.max(initial=0) >= min(_FEW, _A_FEW_EACH * generations.size):
        return np.unique(generations.astype(np.int64), return_inverse=True)
    # Counting takes a tenth of the time of sorting, where there are not many more numbers than entries.
    counts = np.bincount(generations)
    return np.flatnonzero(counts), (np.cumsum(counts > 0) - 1)[generations]


def check_generations(name: str, array: npt.NDArray[np.generic], shape: Shape) -> Generations:
    """`array` as int32. Raises ArgumentError unless it holds integers in [0, 2^31) of `shape`."""
    if array.shape != shape or array.dtype.kind not in "iu":
        came = f"{array.dtype} of shape {array.shape}"
    elif array.size and not (int(array.min()) >= 0 and int(array.max()) < 1 << 31):
        came = f"values from {int(array.min())} to {int(array.max())}"
    else:
        return array.astype(np.int32)
    raise ArgumentError(f"generations {name!r}: expected integers in [0, 2^31) of shape {shape}, got {came}")
