"""Existence of lottery tickets, by constructions that run. Needs no torch."""

from typing import TYPE_CHECKING

from tombola._lazy import attributes

if TYPE_CHECKING:
    from tombola.theory.certificate import Certificate as Certificate
    from tombola.theory.certificate import certify as certify
    from tombola.theory.certificate import check as check
    from tombola.theory.construction import Construction as Construction
    from tombola.theory.construction import construct as construct
    from tombola.theory.construction import model_of as model_of
    from tombola.theory.subset_sums import SubsetSums as SubsetSums
    from tombola.theory.subset_sums import subset_sum as subset_sum

__getattr__, __dir__, __all__ = attributes(
    __name__,
    {
        "Certificate": "tombola.theory.certificate",
        "Construction": "tombola.theory.construction",
        "SubsetSums": "tombola.theory.subset_sums",
        "certify": "tombola.theory.certificate",
        "check": "tombola.theory.certificate",
        "construct": "tombola.theory.construction",
        "model_of": "tombola.theory.construction",
        "subset_sum": "tombola.theory.subset_sums",
    },
    globals(),
)
