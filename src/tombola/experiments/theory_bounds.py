"""What the theorems ask for, for a network of given sizes, as plain values: the command `bounds`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tombola.errors import ArgumentError
from tombola.theory.bounds import ONE_BIT, practical_candidates, subset_sum_candidates
from tombola.theory.widths import facts_of_sizes, required_widths

SIZES = "784,300,100,10"  # LeNet-300-100
_TOLERANCE = 0.01


def widths_record(
    sizes: str | None, density: float, error: float, delta: float, constant: float | None
) -> dict[str, Any]:
    """The widths of every construction for the worst target of these sizes, and the candidates of one
    subset sum at tolerance 0.01.

    Raises ArgumentError for sizes that are not whole numbers with commas between, or numbers out of range.
    """
    factor = ONE_BIT if constant is None else constant
    counts = read_sizes(SIZES if sizes is None else sizes)
    rows = required_widths(facts_of_sizes(counts), density, error, delta, constant=factor)
    return {
        "sizes": counts,
        "density": density,
        "error": error,
        "delta": delta,
        "constant": factor,
        "subset_sum": {
            "tolerance": _TOLERANCE,
            "theorem": subset_sum_candidates(_TOLERANCE, delta, density, constant=factor),
            "practical": practical_candidates(_TOLERANCE, density),
        },
        "widths": [asdict(row) for row in rows],
    }


def read_sizes(text: str) -> list[int]:
    """The numbers in such as "784,300,100,10". Raises ArgumentError for anything else."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ArgumentError(
            f"--sizes is the neurons of each layer, such as {SIZES}, inputs first; got {text!r}"
        ) from None
