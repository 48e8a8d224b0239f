"""What subset_sum refuses, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from tombola.errors import ArgumentError
from tombola.theory import subset_sum


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([0.0, float("nan")], [1.0], 0.1), {}, "targets must be finite, got nan at index 1"),
        (([0.0], [[1.0, float("-inf")]], 0.1), {}, "candidates must be finite, got -inf at index 0, 1"),
        (([0.0], ["a"], 0.1), {}, "candidates must be real numbers, got <U1"),
        (([1j], [1.0], 0.1), {}, "targets must be real numbers, got complex128"),
        (
            ([0.0, 1.0], [[1.0], [1.0, 2.0]], 0.1),
            {},
            "candidates must be one array of real numbers, got rows of",
        ),
        ((0.0, [1.0], 0.1), {}, r"targets must have shape (N,), got ()"),
        (([[0.0]], [1.0], 0.1), {}, r"targets must have shape (N,), got (1, 1)"),
        (([0.0], [[1.0], [2.0]], 0.1), {}, r"candidates must have shape (1, n) or (n,), got (2, 1)"),
        (([0.0], 1.0, 0.1), {}, r"candidates must have shape (1, n) or (n,), got ()"),
        (([0.0], np.ones(41), 0.1), {}, "at most 40 candidates can be used for a target, got 41"),
        (([0.0], [[]], 0.1), {}, "there must be at least one candidate for a target, got shape (1, 0)"),
        (([0.0], [1e308, 1e308], 0.1), {}, "must have finite sums in float64, got numbers too large"),
        (([0.0], [1.0], 0.0), {}, "tolerance must be a finite number above 0, got 0.0"),
        (([0.0], [1.0], float("inf")), {}, "tolerance must be a finite number above 0, got inf"),
        (([0.0], [1.0], float("nan")), {}, "tolerance must be a finite number above 0, got nan"),
        (([0.0], [1.0], True), {}, "tolerance must be a finite number above 0, got True"),
        (
            ([0.0], [1.0], np.complex128(1)),
            {},
            "tolerance must be a finite number above 0, got np.complex128",
        ),
        (([0.0], [1.0], "a"), {}, "tolerance must be a finite number above 0, got 'a'"),
        (([0.0], [1.0], 0.1), {"variant": "fewst"}, "unknown variant 'fewst': did you mean 'fewest'?"),
        (([0.0], [1.0], 0.1), {"variant": "size"}, "size must be an integer in [0, 1], got None"),
        (([0.0], [1.0], 0.1), {"variant": "size", "size": 2}, "size must be an integer in [0, 1], got 2"),
        (([0.0], [1.0], 0.1), {"variant": "size", "size": -1}, "size must be an integer in [0, 1], got -1"),
        (
            ([0.0], [1.0], 0.1),
            {"variant": "size", "size": True},
            "size must be an integer in [0, 1], got True",
        ),
        (([0.0], [1.0], 0.1), {"size": 1}, "size is for variant 'size' only, got 1 for 'nearest'"),
        (([0.0], [1.0], 0.1), {"alive": [1]}, "alive must be booleans, got int64"),
        (([0.0], [1.0], 0.1), {"alive": [[True, True]]}, "alive must have shape (1, 1) or (1,), got (1, 2)"),
    ],
)
def test_bad_arguments(arguments: tuple[Any, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        subset_sum(*arguments, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_numba_numpy_does_it() -> None:
    code = """
import sys
sys.modules["numba"] = None
from tombola.theory import subset_sum
from tombola.theory.kernels import NUMPY, kernels
assert subset_sum([3.0], [1.0, 5.0, 2.0], 0.1).mask.tolist() == [[True, False, True]]
assert kernels() is NUMPY
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_importing_theory_loads_neither_numba_nor_torch() -> None:
    code = """
import sys
from tombola.theory import subset_sum
assert not {"numba", "torch"} & {*sys.modules}
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
