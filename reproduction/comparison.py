"""Figures of several seeds, the tests that compare them, and what the tests decide."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev, variance
from typing import Literal

from scipy import stats

Word = Literal["agrees", "disagrees", "not decided", "not run"]
LEVEL = 0.05
"""Two-sided level of every test, and one minus the confidence of every interval."""
LEARNT = 30.0
"""Accuracy in % from which on a network counts as having learnt: three times that of chance among the ten
classes that all sweeps have."""


@dataclass(frozen=True)
class Finding:
    """One statement of a claim, what was measured of it, and the verdict."""

    statement: str
    figures: str
    test: str
    word: Word


@dataclass(frozen=True)
class Contrast:
    """A difference of means: its estimate, its interval at 95 % confidence, and the two-sided p-value."""

    estimate: float
    low: float
    high: float
    p: float

    @property
    def interval(self) -> str:
        """The estimate with its interval."""
        return f"{self.estimate:+.2f} ({self.low:+.2f} … {self.high:+.2f})"

    def __str__(self) -> str:
        return f"{self.interval}, {f'p = {self.p:.2g}' if self.p >= 1e-4 else 'p < 0.0001'}"


def contrast(*terms: tuple[float, Sequence[float]]) -> Contrast:
    """The sum of weight × mean over groups of values that need not have equal variances.

    Welch's t-test where there are two groups of weights 1 and -1; degrees of freedom by Welch and
    Satterthwaite.
    Raises ValueError for a group of fewer than two values, which has no variance.
    """
    if any(len(values) < 2 for _, values in terms):
        raise ValueError("a group of fewer than two values has no variance")
    estimate = math.fsum(weight * fmean(values) for weight, values in terms)
    parts = [weight**2 * variance(values) / len(values) for weight, values in terms]
    if not (error := math.sqrt(math.fsum(parts))):
        return Contrast(estimate, estimate, estimate, 0.0 if estimate else 1.0)
    freedom = math.fsum(parts) ** 2 / math.fsum(
        part**2 / (len(values) - 1) for part, (_, values) in zip(parts, terms, strict=True)
    )
    margin = float(stats.t.ppf(1 - LEVEL / 2, freedom)) * error
    p = 2 * float(stats.t.sf(abs(estimate) / error, freedom))
    return Contrast(estimate, estimate - margin, estimate + margin, p)


def spread(values: Sequence[float]) -> str:
    """Mean ± standard deviation (of a sample), and of how many."""
    if not values:
        return "not run"
    deviation = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
    return f"{fmean(values):.2f}{deviation} (n = {len(values)})"


def greater(statement: str, first: Sequence[float], second: Sequence[float]) -> Finding:
    """Whether `first` is greater than `second`: agrees or disagrees where Welch's test tells them apart."""
    figures = f"{spread(first)} against {spread(second)}"
    if min(len(first), len(second)) < 2:
        return Finding(statement, figures, "", "not run")
    found = contrast((1, first), (-1, second))
    return Finding(statement, figures, f"Welch: {found}", word_of(found))


def more(
    statement: str, first: tuple[Sequence[float], Sequence[float]], second: tuple[Sequence[float], ...]
) -> Finding:
    """Whether the difference within `first` is greater than that within `second`, four groups in all."""
    groups = [*first, *second]
    if min(map(len, groups)) < 2:
        return Finding(statement, "", "", "not run")
    found = contrast(*zip((1, -1, -1, 1), groups, strict=True))
    figures = " against ".join(f"{fmean(a) - fmean(b):+.2f}" for a, b in (first, second))
    return Finding(statement, figures, f"Welch–Satterthwaite: {found}", word_of(found))


def not_less(statement: str, first: Sequence[float], second: Sequence[float], margin: float) -> Finding:
    """Whether `first` is at most `margin` below `second`, accuracies in %: the whole interval of their
    difference lies above -margin (agrees), or below it (disagrees). Nothing is decided where `second` has
    learnt little, for at chance all are as good as each other.
    """
    figures = f"{spread(first)} against {spread(second)}"
    if min(len(first), len(second)) < 2:
        return Finding(statement, figures, "", "not run")
    if fmean(second) < LEARNT:
        return Finding(
            statement, figures, f"the latter is below {LEARNT:g} %: it has not learnt", "not decided"
        )
    found = contrast((1, first), (-1, second))
    word: Word = "agrees" if found.low > -margin else "disagrees" if found.high < -margin else "not decided"
    less = (
        f": lower, whether by more than {margin:g} is open"
        if word == "not decided" and found.high < 0
        else ""
    )
    return Finding(statement, figures, f"Welch, margin {margin:g}: {found.interval}{less}", word)


def word_of(found: Contrast) -> Word:
    """What a difference decides that is claimed to be greater than 0."""
    if found.p >= LEVEL:
        return "not decided"
    return "agrees" if found.estimate > 0 else "disagrees"
