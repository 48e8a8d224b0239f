"""Philox 4x64-10 at arbitrary counters, each under a key of its own: numpy's own generator runs through
one key's counters in order.

Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]

_MULTIPLIERS = (np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157))
_WEYL = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B))
_ROUNDS = 10
_MASK32 = np.uint64(0xFFFFFFFF)
_SHIFT32 = np.uint64(32)


def philox_blocks(counters: U64, key0: U64, key1: U64) -> tuple[U64, U64, U64, U64]:
    """The four 64-bit lanes of the block of each counter (< 2^64) under the key (key0, key1) beside it.

    All arrays are flat and of one length. Works in place on a dozen of them: for speed, give as many
    counters at once as leave these in a core's cache.
    """
    keys = [key0.copy(), key1.copy()]
    x0, x1, x2, x3 = counters.copy(), *(np.zeros_like(counters) for _ in range(3))
    high0, low0, high1, low1, *scratch = (np.empty_like(counters) for _ in range(6))
    for _ in range(_ROUNDS):
        _multiply(x0, _MULTIPLIERS[0], high0, low0, scratch)
        _multiply(x2, _MULTIPLIERS[1], high1, low1, scratch)
        for high, lane, key, weyl in ((high1, x1, keys[0], _WEYL[0]), (high0, x3, keys[1], _WEYL[1])):
            np.bitwise_xor(high, lane, out=high)
            np.bitwise_xor(high, key, out=high)
            np.add(key, weyl, out=key)
        # The new lanes; the arrays of the old ones take the next products.
        x0, x1, x2, x3, high1, low1, high0, low0 = high1, low1, high0, low0, x0, x1, x2, x3
    return x0, x1, x2, x3


def _multiply(a: U64, b: np.uint64, high: U64, low: U64, scratch: list[U64]) -> None:
    """`high`, `low` <- the 128-bit products a * b, by 32-bit halves."""
    middle, cross = scratch
    b_high, b_low = b >> _SHIFT32, b & _MASK32
    np.right_shift(a, _SHIFT32, out=high)
    np.bitwise_and(a, _MASK32, out=middle)
    np.multiply(middle, b_low, out=cross)
    np.right_shift(cross, _SHIFT32, out=cross)
    np.multiply(high, b_low, out=low)
    np.add(cross, low, out=cross)  # a_low b_low >> 32 + a_high b_low: below 2^64
    np.multiply(middle, b_high, out=middle)
    np.bitwise_and(cross, _MASK32, out=low)
    np.add(middle, low, out=middle)  # a_low b_high + the lower half of cross: below 2^64
    np.multiply(high, b_high, out=high)
    for carried in (cross, middle):
        np.right_shift(carried, _SHIFT32, out=carried)
        np.add(high, carried, out=high)
    np.multiply(a, b, out=low)
