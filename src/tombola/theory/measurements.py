"""The Monte Carlo measurements together, as plain values: what `tombola bounds --measure` shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tombola.errors import ArgumentError
from tombola.theory import monte_carlo
from tombola.theory.bounds import sparsity_factor
from tombola.theory.intervals import (
    CONFIDENCE,
    Interval,
    clopper_pearson,
    mean,
    quantile,
    scale_fit,
    slope,
    slopes,
)

DENSITIES = (1.0, 0.9, 0.7, 0.5, 0.3, 0.2, 0.1)
PANEL_DENSITIES = (1.0, 0.5, 0.2, 0.1)
USABLE = (6, 8, 10, 12, 14, 16)
"""Error is measured where so many candidates are expected to be usable."""
TOLERANCES = (0.1, 0.03, 0.01, 0.003, 0.001)
SPARSE = 0.3
"""Up to this density 1/p and 1/log(1/(1-p)) differ by less than a fifth: the laws are fitted there too."""
HOLDS = 0.1
"""A fitted law holds where it is within this fraction of what was measured."""
LAWS = {"1/p": lambda p: 1 / p, "1/log(1/(1-p))": sparsity_factor}
_FEWEST, _MOST = 100, 50_000


def measure(
    trials: int = 2000,
    seed: int = 0,
    *,
    tolerance: float = 0.01,
    success: float = 0.95,
    densities: Sequence[float] = DENSITIES,
    panel_densities: Sequence[float] = PANEL_DENSITIES,
    usable: Sequence[int] = USABLE,
    tolerances: Sequence[float] = TOLERANCES,
) -> dict[str, Any]:
    """All of them, `trials` each; intervals are [value, low, high] at a confidence of 0.95.

    Memory goes with the trials, 50,000 of which take about 0.5 GB. Raises ArgumentError for more, for fewer
    than 100, whose 95 % quantile is hardly known, or other numbers out of range; TombolaError where scipy is
    not installed.
    """
    if not _FEWEST <= trials <= _MOST:
        raise ArgumentError(f"trials must be in [{_FEWEST}, {_MOST:,}], got {trials:,}")
    candidates = [candidates_row(tolerance, success, density, trials, seed) for density in densities]
    return {
        "trials": trials,
        "seed": seed,
        "tolerance": tolerance,
        "success": success,
        "confidence": CONFIDENCE,
        "candidates": candidates,
        "laws": law_fits(candidates),
        "errors": [errors_row(density, usable, trials, seed) for density in panel_densities],
        "redraws": redraws_table(tolerances, trials, seed),
    }


def candidates_row(
    tolerance: float, success: float, density: float, trials: int, seed: int
) -> dict[str, Any]:
    """The least number of candidates at which a fraction `success` of the trials is solved."""
    needed = monte_carlo.candidates_needed(tolerance, density, trials, seed)
    least = quantile(needed, success)
    solved = int(np.count_nonzero(needed <= least.value))
    return {
        "density": density,
        "candidates": [int(end) if math.isfinite(end) else None for end in least],
        "solved": list(clopper_pearson(solved, trials)),
    }


def law_fits(candidates: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Both laws of the growth with sparsity, fitted over all p < 1 and over the sparse ones.

    p = 1 takes no part: there the second law is 0. `off`: log(measured / fitted) at each density; `holds`:
    the densities at which the fit is within a tenth of what was measured.
    """
    fits = []
    for most in (max((row["density"] for row in candidates if row["density"] < 1), default=0.0), SPARSE):
        rows = [row for row in candidates if row["density"] <= most]
        densities = [row["density"] for row in rows]
        if len(rows) < 2:
            continue
        for law, factor in LAWS.items():
            factors = [factor(p) for p in densities]
            fit = scale_fit([row["candidates"][0] for row in rows], factors)
            fits.append(
                {
                    "law": law,
                    "densities": densities,
                    "scale": list(fit.scale),
                    "fitted": [fit.scale.value * each for each in factors],
                    "off": fit.residuals,
                    "holds": [
                        p
                        for p, off in zip(densities, fit.residuals, strict=True)
                        if abs(math.expm1(-off)) <= HOLDS
                    ],
                }
            )
    return fits


def errors_row(density: float, usable: Sequence[int], trials: int, seed: int) -> dict[str, Any]:
    """The error of the nearest subset sum against the number of candidates, and how its logarithm falls
    with each: theory says -p log 2, as each usable candidate doubles the subsets.
    """
    counts = [round(count / density) for count in usable]
    logs = monte_carlo.log_errors(counts, density, trials, seed)
    intervals = [mean(column) for column in logs.T]
    return {
        "density": density,
        "counts": counts,
        "errors": [[math.exp(end) for end in interval] for interval in intervals],
        "slope": list(mean(slopes(counts, logs))),
        "theory": -density * math.log(2),
    }


def redraws_table(tolerances: Sequence[float], trials: int, seed: int) -> dict[str, Any]:
    """Redraws of one weight against its tolerance, for weights uniform on (-1, 1) and for the greatest, 1;
    the slope on logarithmic axes, which theory says is -1, and its bound on the expectation, 4 / η.
    """
    rows: list[dict[str, Any]] = []
    for tolerance in tolerances:
        taken = monte_carlo.redraws_taken(tolerance, trials, seed)
        worst = monte_carlo.redraws_taken(tolerance, trials, seed, weight=1.0)
        rows.append(
            {
                "tolerance": tolerance,
                "redraws": list(mean(taken)),
                "greatest": list(mean(worst)),
                "success": list(_per_draw(worst)),
                "least_success": tolerance / 4,
            }
        )
    across = np.log(tolerances)
    return {
        "rows": rows,
        "slope": list(slope(across, np.log([row["redraws"][0] for row in rows]))),
        "slope_greatest": list(slope(across, np.log([row["greatest"][0] for row in rows]))),
        "theory": -1.0,
    }


def _per_draw(taken: np.ndarray) -> Interval:
    """Successes over draws. Each trial ends with a success, so the number of draws is random and not that of
    successes: a binomial's interval all the same, but for the one draw that is last.
    """
    return clopper_pearson(int(taken.size), int(taken.sum()))
