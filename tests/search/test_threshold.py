"""The threshold: exact whatever the bracket, from the first step and after any move."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tombola.mask import BoolArray
from tombola.search import threshold
from tombola.search.threshold import Cut, Floats, Tracker


def expected(values: Floats, alive: BoolArray | None, keep: int) -> Cut:
    """By sorting."""
    among = np.sort(values if alive is None else values[alive])[::-1]
    cut = among[keep - 1]
    return Cut(float(cut), int((among[:keep] == cut).sum()), int((among == cut).sum()))


def as_float32(values: np.ndarray) -> Floats:
    return values.astype(np.float32)


@settings(max_examples=40)
@given(
    st.integers(0, 2**32),
    st.integers(2_100, 9_000),
    st.floats(0.001, 0.999),
    st.sampled_from(["smooth", "coarse", "heavy", "sorted"]),
    st.booleans(),
)
def test_it_follows_values_that_drift_jump_and_stand_still(
    seed: int, size: int, share: float, kind: str, sparse: bool
) -> None:
    random = np.random.default_rng(seed)
    values = as_float32(random.standard_normal(size))
    if kind == "coarse":
        values = np.round(values)
    elif kind == "heavy":
        values = as_float32(random.standard_cauchy(size) ** 3)
    elif kind == "sorted":
        values = np.sort(values)
    alive = random.random(size) < 0.9 if sparse else None
    tracker = Tracker()
    for move in (0, 0, 0.01, 0.01, 5.0, 0.0, 0.0, -0.02, 1e-7):
        values = as_float32(values + move * (1 + 0.1 * random.standard_normal(size)))
        keep = max(1, round(share * (size if alive is None else alive.sum())))
        split = size // 3
        parts = [
            (part, None if alive is None else alive[span])
            for part, span in (
                (values[:split], slice(None, split)),
                (values[split:], slice(split, None)),
            )
        ]
        assert tracker.find(parts, keep) == expected(values, alive, keep)


def test_none_and_all() -> None:
    part = (as_float32(np.arange(5_000.0)), None)
    assert Tracker().find([part], 0).value == np.inf
    assert Tracker().find([part], 5_000).value == -np.inf
    assert Tracker().find([part], 9_000).value == -np.inf
    assert Tracker().find([part, (part[0], np.zeros(5_000, dtype=bool))], 5_000).value == -np.inf


def test_all_equal() -> None:
    assert Tracker().find([(np.zeros(10_000, dtype=np.float32), None)], 400) == Cut(0.0, 400, 10_000)


def test_small_moves_are_followed_without_another_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the warm start is for: two passes fewer, and a narrow bracket."""
    samples, widths = [], []
    within, sampled = threshold._within, threshold._sampled

    def watched(parts: list[threshold.Part], keep: int, low: float, high: float) -> Cut | None:
        widths.append(high - low)
        return within(parts, keep, low, high)

    def sampling(parts: list[threshold.Part], keep: int, total: int) -> tuple[float, float]:
        samples.append(total)
        return sampled(parts, keep, total)

    monkeypatch.setattr(threshold, "_within", watched)
    monkeypatch.setattr(threshold, "_sampled", sampling)
    random = np.random.default_rng(0)
    values = as_float32(random.standard_normal(100_000))
    tracker = Tracker()
    for _ in range(30):
        values = as_float32(values + 0.001)
        assert tracker.find([(values, None)], 30_000) == expected(values, None, 30_000)
    assert len(samples) == 2  # to begin with, and before any move was seen
    assert len(widths) == 30
    assert max(widths[2:]) < 0.01 < min(widths[:2])


def test_a_misleading_sample_costs_time_only() -> None:
    """Every entry that the sample meets is small."""
    values = as_float32(np.ones(50_000))
    stride = 50_000 // 4096 | 1
    values[::stride] = 0.0
    assert Tracker().find([(values, None)], 10_000) == Cut(1.0, 10_000, int(values.sum()))


@pytest.mark.filterwarnings("error")
def test_a_bracket_may_reach_beyond_float32() -> None:
    tracker = Tracker()
    for scale in (1e38, -1e38, 3e38, -3e38, 3e38):
        values = as_float32(np.linspace(0.5, 1.0, 5_000) * scale)
        assert tracker.find([(values, None)], 2) == expected(values, None, 2)


def test_after_a_jump_the_bracket_closes_in_again(monkeypatch: pytest.MonkeyPatch) -> None:
    widths: list[float] = []
    within = threshold._within

    def watched(parts: list[threshold.Part], keep: int, low: float, high: float) -> Cut | None:
        widths.append(high - low)
        return within(parts, keep, low, high)

    monkeypatch.setattr(threshold, "_within", watched)
    values = as_float32(np.random.default_rng(0).standard_normal(10_000))
    tracker = Tracker()
    for move in (0.0, 1e-4, 0.1, *[1e-4] * 12):
        values = as_float32(values + move)
        tracker.find([(values, None)], 3_000)
    assert max(widths) > 0.1
    assert widths[-1] < 0.01
