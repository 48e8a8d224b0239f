"""Philox blocks: the published answer, and numpy's generator under many keys."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tombola.philox import philox_blocks

U64 = st.integers(0, 2**64 - 1)


def test_the_known_answer() -> None:
    # Random123's test vector for philox4x64-10: counter and key all zeros.
    zero = np.zeros(1, dtype=np.uint64)
    lanes = [int(lane[0]) for lane in philox_blocks(zero, zero, zero)]
    assert lanes == [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]


@given(st.lists(st.tuples(U64, U64, U64), min_size=1, max_size=20))
def test_numpy_says_the_same(cases: list[tuple[int, int, int]]) -> None:
    counters, key0, key1 = (np.array(column, dtype=np.uint64) for column in zip(*cases, strict=True))
    given_counters = counters.copy()
    lanes = philox_blocks(counters, key0, key1)
    assert np.array_equal(counters, given_counters)
    for n, (counter, *key) in enumerate(cases):
        # numpy counts a block before it draws it.
        bits = np.random.Philox(key=np.array(key, dtype=np.uint64), counter=(counter - 1) % 2**256)
        assert bits.random_raw(4).tolist() == [int(lane[n]) for lane in lanes]
