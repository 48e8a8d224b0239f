"""Existence of lottery tickets, by constructions that run. Needs no torch."""

from typing import TYPE_CHECKING

from tombola._lazy import attributes

if TYPE_CHECKING:
    from tombola.theory.subset_sums import SubsetSums as SubsetSums
    from tombola.theory.subset_sums import subset_sum as subset_sum

__getattr__, __dir__, __all__ = attributes(
    __name__,
    {
        "SubsetSums": "tombola.theory.subset_sums",
        "subset_sum": "tombola.theory.subset_sums",
    },
    globals(),
)
