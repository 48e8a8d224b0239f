"""Confidence intervals of what is measured: exact ones for counts and quantiles, Student's for means.

Needs scipy, of the extra `theory`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tombola.errors import ArgumentError, missing_extra
from tombola.theory.bounds import check_range
from tombola.theory.kernels import Floats

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A value measured, between the ends of its confidence interval."""

    value: float
    low: float
    high: float


class ScaleFit(NamedTuple):
    """y = c · law with one parameter: c, and log(y / (c · law)) for each point."""

    scale: Interval
    residuals: list[float]


def clopper_pearson(successes: int, trials: int, confidence: float = CONFIDENCE) -> Interval:
    """The exact interval of a binomial proportion (Clopper and Pearson 1934): it covers the true one with at
    least `confidence`. Raises ArgumentError for counts that cannot be.
    """
    if not 0 <= successes <= trials or trials < 1:
        raise ArgumentError(f"expected 0 <= successes <= trials and a trial, got {successes} of {trials}")
    beta, tail = _stats().beta, _tail(confidence)
    low = beta.ppf(tail, successes, trials - successes + 1) if successes else 0.0
    high = beta.isf(tail, successes + 1, trials - successes) if successes < trials else 1.0
    return Interval(successes / trials, float(low), float(high))


def quantile(values: npt.ArrayLike, level: float, confidence: float = CONFIDENCE) -> Interval:
    """The least value that a fraction `level` of `values` does not exceed, and the order statistics between
    which the distribution's own lies with at least `confidence`, whatever it is (Conover 1999, 3.2).

    An end is ±inf where there are too few values for one. Raises ArgumentError for none, or a level outside
    (0, 1).
    """
    check_range("level", level, 1.0)
    ordered = np.sort(np.asarray(values, dtype=np.float64).reshape(-1))
    if not ordered.size:
        raise ArgumentError("a quantile of no values")
    binomial, tail = _stats().binom, _tail(confidence)
    # P(the r-th value > q) = P(fewer than r values <= q): both ends leave out at most the tail.
    low = int(binomial.ppf(tail, ordered.size, level))
    high = int(binomial.isf(tail, ordered.size, level)) + 1
    place = max(1, math.ceil(level * ordered.size - 1e-9))
    return Interval(
        float(ordered[place - 1]),
        float(ordered[low - 1]) if low >= 1 else -math.inf,
        float(ordered[high - 1]) if high <= ordered.size else math.inf,
    )


def mean(values: npt.ArrayLike, confidence: float = CONFIDENCE) -> Interval:
    """The mean with Student's interval. Raises ArgumentError for fewer than two values."""
    array = np.asarray(values, dtype=np.float64).reshape(-1)
    if array.size < 2:
        raise ArgumentError(f"the interval of a mean takes at least two values, got {array.size}")
    half = _student(confidence, array.size - 1) * float(array.std(ddof=1)) / math.sqrt(array.size)
    middle = float(array.mean())
    return Interval(middle, middle - half, middle + half)


def slope(x: npt.ArrayLike, y: npt.ArrayLike, confidence: float = CONFIDENCE) -> Interval:
    """The slope of the least-squares line through (x, y), with Student's interval for independent errors.

    Raises ArgumentError for fewer than three points or all at one x.
    """
    across, up = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if across.shape != up.shape or across.ndim != 1 or across.size < 3 or np.ptp(across) == 0:
        raise ArgumentError(
            f"a slope takes three points, not all at one x, got x of shape {across.shape}, y {up.shape}"
        )
    fitted = float(slopes(across, up[None])[0])
    deviations = across - across.mean()
    rest = up - up.mean() - fitted * deviations
    error = math.sqrt(float(rest @ rest) / (across.size - 2) / float(deviations @ deviations))
    half = _student(confidence, across.size - 2) * error
    return Interval(fitted, fitted - half, fitted + half)


def slopes(x: npt.ArrayLike, rows: npt.ArrayLike) -> Floats:
    """The slope of each row's own least-squares line: their mean is the slope of the mean row, and where
    rows are independent, and their points are not, `mean` gives its interval.
    """
    across = np.asarray(x, dtype=np.float64)
    deviations = across - across.mean()
    found: Floats = np.asarray(rows, dtype=np.float64) @ deviations / (deviations @ deviations)
    return found


def scale_fit(values: npt.ArrayLike, law: npt.ArrayLike, confidence: float = CONFIDENCE) -> ScaleFit:
    """The c of values = c · law, by least squares of the logarithms. Its interval is Student's, from how far
    the points are off the law: one that fits badly has a wide one.
    """
    logs = np.log(np.asarray(values, dtype=np.float64) / np.asarray(law, dtype=np.float64))
    middle = mean(logs, confidence)
    scale = Interval(*(math.exp(end) for end in middle))
    return ScaleFit(scale, (logs - middle.value).tolist())


def _tail(confidence: float) -> float:
    check_range("confidence", confidence, 1.0)
    return (1 - confidence) / 2


def _student(confidence: float, freedom: int) -> float:
    return float(_stats().t.isf(_tail(confidence), freedom))


def _stats() -> Any:
    try:
        from scipy import stats
    except ModuleNotFoundError:
        raise missing_extra("measuring", "theory") from None
    return stats
