"""Weight distributions: 32-bit words -> float32 weights, by exact arithmetic.

Only integer operations and single correctly rounded IEEE operations are used, so the bits of a
weight are the same on every machine. No draw is ever 0. The distributions are told in docs/methods/sources.md
(paper A: Chijiwa et al. 2021, its experiments use the first two; paper B: uniform).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from importlib import resources

import numpy as np
import numpy.typing as npt

from tombola.errors import unknown
from tombola.rng import Words

FloatArray = npt.NDArray[np.float32]

_UNIFORM_BINS = 1 << 23
_QUANTILES = 1 << 16


def signed_constant(words: Words, fan_in: float) -> FloatArray:
    """±√(2 / fan_in), the sign the word's lowest bit (1 = negative)."""
    return _with_sign(np.full(words.shape, math.sqrt(2.0 / fan_in), dtype=np.float32), words)


def kaiming_uniform(words: Words, fan_in: float) -> FloatArray:
    """U(-b, b), b = √(6 / fan_in) (He et al. 2015)."""
    return _symmetric_uniform(words) * np.float32(math.sqrt(6.0 / fan_in))


def kaiming_normal(words: Words, fan_in: float) -> FloatArray:
    """N(0, 2 / fan_in) (He et al. 2015), through a table of 2^16 quantiles of |N(0, 1)|.

    The word's lowest bit is the sign, its upper 16 bits the row. The greatest value is 4.5 standard
    deviations; the variance falls short of 2 / fan_in by less than 2e-5 of it.
    """
    magnitudes = normal_quantiles()[words >> np.uint32(16)] * np.float32(math.sqrt(2.0 / fan_in))
    return _with_sign(magnitudes, words)


def uniform(words: Words, fan_in: float) -> FloatArray:
    """U(-1, 1), whatever the fan-in: the theory's choice (Lueker 1998; paper B)."""
    return _symmetric_uniform(words)


DISTRIBUTIONS: dict[str, Callable[[Words, float], FloatArray]] = {
    "signed_constant": signed_constant,
    "kaiming_uniform": kaiming_uniform,
    "kaiming_normal": kaiming_normal,
    "uniform": uniform,
}


def draw(init: str, words: Words, fan_in: float, fan_density: float = 1.0) -> FloatArray:
    """One weight a word from the distribution `init`, its standard deviation over √fan_density.

    Raises ArgumentError for an unknown `init`.
    """
    if init not in DISTRIBUTIONS:
        raise unknown("init", init, DISTRIBUTIONS)
    weights = DISTRIBUTIONS[init](words, fan_in)
    return weights if fan_density == 1.0 else weights * np.float32(1.0 / math.sqrt(fan_density))


@cache
def normal_quantiles() -> FloatArray:
    """Row k: the float32 nearest to the (1/2 + (2k + 1) / 2^18) quantile of N(0, 1), k < 2^16."""
    data = resources.files("tombola.source").joinpath("normal_quantiles.f32").read_bytes()
    table = np.frombuffer(data, dtype="<f4").astype(np.float32)
    if table.size != _QUANTILES:
        raise RuntimeError(f"normal_quantiles.f32 is damaged: expected {_QUANTILES} rows, got {table.size}")
    return table


def _symmetric_uniform(words: Words) -> FloatArray:
    """Midpoints of 2^23 equal bins of (-1, 1): odd multiples of 2^-23, exact in float32, never 0."""
    bins = (words >> np.uint32(9)).astype(np.int32)
    return (2 * bins + 1 - _UNIFORM_BINS).astype(np.float32) * np.float32(1.0 / _UNIFORM_BINS)


def _with_sign(magnitudes: FloatArray, words: Words) -> FloatArray:
    """Set the sign bit where the word is odd."""
    bits = magnitudes.view(np.uint32)
    bits |= (words & np.uint32(1)) << np.uint32(31)
    return magnitudes
