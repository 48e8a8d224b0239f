"""What trials measure: against brute force and known distributions; a function of the seed alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

from tombola import ArgumentError
from tombola.rng import Stream
from tombola.theory import monte_carlo
from tombola.theory.bounds import sparsity_factor
from tombola.theory.intervals import clopper_pearson
from tombola.theory.measurements import candidates_row, errors_row, law_fits, measure, redraws_table
from tombola.theory.monte_carlo import NEVER, candidates_needed, log_errors, redraws_taken, uniform


def test_uniform_numbers() -> None:
    numbers = uniform(Stream(0, "a", "b"), 4000)
    assert np.all((numbers > -1) & (numbers < 1) & (numbers != 0))
    # Odd multiples of 2^-52, and not float32's.
    steps = numbers * 2.0**52
    assert np.all(steps % 2 == 1)
    assert np.all(numbers != numbers.astype(np.float32))
    assert abs(numbers.mean()) < 6 / math.sqrt(3 * 4000)
    assert abs((numbers**2).mean() - 1 / 3) < 6 * math.sqrt(4 / 45 / 4000)


def test_candidates_needed_are_those_of_brute_force() -> None:
    """The least n with a subset within the tolerance, all subsets tried."""
    tolerance, trials, seed = 0.1, 12, 3
    found = candidates_needed(tolerance, 1.0, trials, seed)
    name = "candidates at tolerance 0.1, density 1.0"
    targets = uniform(Stream(seed, f"{name}: targets", "monte carlo"), trials)
    rows = uniform(Stream(seed, f"{name}: candidates", "monte carlo"), trials * 40).reshape(trials, 40)
    for target, row, count in zip(targets, rows, found.tolist(), strict=True):
        solved = [
            any(
                abs(np.dot(chosen, row[:most]) - target) <= tolerance
                for chosen in product((0, 1), repeat=most)
            )
            for most in range(count + 1)
        ]
        assert solved == [False] * count + [True]


@pytest.mark.parametrize("density", [1.0, 0.5, 0.05])
def test_a_target_near_one_candidate(density: float) -> None:
    """Within 1/2 of half the targets is the empty sum. Of the others, |t| = 1/2 + s, a candidate is within
    1/2 where it lies in [s, 1], on t's side: on average with probability 3/8.
    """
    assert not candidates_needed(1.0, density, 50, 0).any()
    needed = candidates_needed(0.5, density, 20000, 0)
    for count, chance in ((0, 0.5), (1, 0.5 * density * 3 / 8)):
        _, low, high = clopper_pearson(int((needed == count).sum()), needed.size, 1 - 1e-6)
        assert low <= chance <= high


def test_positions_follow_the_negative_binomial() -> None:
    density, usable = 0.1, 3
    found = monte_carlo._positions(np.full(4000, usable), density, 1, "name")
    mean, spread = usable / density, math.sqrt(usable * (1 - density)) / density
    assert abs(found.mean() - mean) < 6 * spread / math.sqrt(4000)
    assert found.min() >= usable
    assert monte_carlo._positions(np.array([0, NEVER, 2]), 1.0, 1, "name").tolist() == [0, NEVER, 2]


def test_more_candidates_and_looser_tolerances_help() -> None:
    dense, sparse = (np.median(candidates_needed(0.05, density, 300, 0)) for density in (1.0, 0.2))
    assert sparse > 3 * dense
    assert np.median(candidates_needed(0.002, 1.0, 300, 0)) > dense


def test_errors_never_grow_with_the_candidates() -> None:
    logs = log_errors([2, 5, 9, 12], 0.6, 200, 0)
    assert logs.shape == (200, 4)
    assert np.all(np.diff(logs, axis=1) <= 0)


def test_redraws_are_geometric() -> None:
    """For w = 0 and a in [1 - η/2, 1] a draw succeeds with probability η / a."""
    taken = redraws_taken(0.05, 3000, 0, weight=0.0)
    _, low, high = clopper_pearson(3000, int(taken.sum()), 1 - 1e-6)
    assert low <= 0.05 / (1 - 0.025)
    assert high >= 0.05
    assert taken.min() == 1
    assert taken.max() > 64  # more than one block of draws


def test_the_greatest_weight_takes_at_most_what_theory_says() -> None:
    for weight in (1.0, -1.0):
        taken = redraws_taken(0.1, 2000, 0, weight=weight)
        assert clopper_pearson(2000, int(taken.sum()), 1 - 1e-6).high >= 0.1 / 4
        assert taken.mean() < 4 / 0.1
    assert redraws_taken(0.1, 2000, 0).mean() < redraws_taken(0.1, 2000, 0, weight=1.0).mean()


def test_everything_is_a_function_of_the_seed() -> None:
    for function in (
        lambda seed: candidates_needed(0.05, 0.3, 100, seed),
        lambda seed: log_errors([4, 8], 0.5, 100, seed),
        lambda seed: redraws_taken(0.05, 100, seed),
    ):
        assert np.array_equal(function(5), function(5))
        assert not np.array_equal(function(5), function(6))


def test_the_fits_of_both_laws() -> None:
    densities = [0.9, 0.5, 0.3, 0.1]
    rows = [{"density": 1.0, "candidates": [1, 1, 1]}]
    rows += [{"density": p, "candidates": [1000 / p, 0, 0]} for p in densities]
    fits = {(fit["law"], len(fit["densities"])): fit for fit in law_fits(rows)}
    inverse = fits["1/p", 4]
    assert inverse["scale"] == pytest.approx([1000, 1000, 1000])
    assert inverse["holds"] == densities
    assert inverse["off"] == pytest.approx([0] * 4, abs=1e-12)
    assert inverse["fitted"] == pytest.approx([1000 / p for p in densities])
    other = fits["1/log(1/(1-p))", 4]
    assert set(other["holds"]) < set(densities)
    logs = [math.log(1000 / p / sparsity_factor(p)) for p in densities]
    assert other["scale"][0] == pytest.approx(math.exp(np.mean(logs)))
    assert fits["1/p", 2]["densities"] == [0.3, 0.1]
    assert law_fits(rows[:2]) == []


def test_rows_of_the_tables() -> None:
    row = candidates_row(0.01, 0.95, 1.0, 400, 0)
    assert row["candidates"][1] <= row["candidates"][0] <= row["candidates"][2]
    assert 10 <= row["candidates"][0] <= 12
    assert row["solved"][0] >= 0.95
    few = candidates_row(0.01, 0.99, 1.0, 100, 0)
    assert few["candidates"][2] is None
    errors = errors_row(0.5, [4, 6, 8], 300, 0)
    assert errors["counts"] == [8, 12, 16]
    assert errors["theory"] == pytest.approx(-0.5 * math.log(2))
    assert errors["slope"][1] < errors["slope"][0] < errors["slope"][2] < -0.25
    redraws = redraws_table([0.2, 0.1, 0.05], 400, 0)
    assert redraws["slope"][0] == pytest.approx(-1, abs=0.25)
    for entry in redraws["rows"]:
        assert entry["success"][2] >= entry["least_success"] == entry["tolerance"] / 4


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: candidates_needed(0.0, 1.0, 10, 0), "tolerance must be finite and above 0"),
        (lambda: candidates_needed(1e-7, 1.0, 10, 0), "tolerance must be at least 1e-06 to be measured"),
        (lambda: candidates_needed(0.1, 0.0, 10, 0), "density is the fraction"),
        (lambda: candidates_needed(0.1, 1.0, 0, 0), "trials must be a whole number of at least 1, got 0"),
        (lambda: candidates_needed(0.1, 1.0, True, 0), "trials must be"),
        (lambda: candidates_needed(0.1, 1.0, 10, -1), "seed must be an integer"),
        (lambda: log_errors([], 1.0, 10, 0), r"counts must be in \[1, 20\], got \[\]"),
        (lambda: log_errors([0], 1.0, 10, 0), "counts must be"),
        (lambda: log_errors([41], 0.5, 10, 0), r"counts must be in \[1, 40\], got \[41\]"),
        (lambda: log_errors([1], 2.0, 10, 0), "density is the fraction"),
        (lambda: redraws_taken(1.0, 10, 0), r"tolerance must be in \(0, 1\)"),
        (lambda: redraws_taken(1e-9, 10, 0), "tolerance must be at least"),
        (lambda: redraws_taken(0.1, 10, 0, weight=1.5), r"weight must be in \[-1, 1\], got 1.5"),
        (lambda: redraws_taken(0.1, 10, 0, weight=math.nan), "weight must be"),
        (lambda: measure(50_001), r"trials must be in \[100, 50,000\], got 50,001"),
        (lambda: measure(99), r"trials must be in \[100, 50,000\], got 99"),
    ],
)
def test_rejections(call: Callable[[], object], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        call()


def test_what_is_drawn_depends_on_numbers_and_not_on_their_types() -> None:
    for tolerance, density in ((np.float64(0.05), 0.5), (0.05, np.float64(0.5))):
        assert np.array_equal(
            candidates_needed(tolerance, density, 50, 0), candidates_needed(0.05, 0.5, 50, 0)
        )
    assert np.array_equal(candidates_needed(0.05, 1, 50, 0), candidates_needed(0.05, 1.0, 50, 0))
    assert np.array_equal(redraws_taken(np.float64(0.05), 50, 0, 1), redraws_taken(0.05, 50, 0, 1.0))
