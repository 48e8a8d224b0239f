"""Scores -> ticket: one method, one short file."""

from typing import TYPE_CHECKING

from tombola._lazy import attributes

if TYPE_CHECKING:
    from tombola.search.base import Search as Search
    from tombola.search.edge_popup import EdgePopup as EdgePopup
    from tombola.search.iterand import IteRand as IteRand
    from tombola.search.schedule import Geometric as Geometric
    from tombola.search.signed_supermask import SignedSupermask as SignedSupermask

__getattr__, __dir__, __all__ = attributes(
    __name__,
    {
        "EdgePopup": "tombola.search.edge_popup",
        "Geometric": "tombola.search.schedule",
        "IteRand": "tombola.search.iterand",
        "Search": "tombola.search.base",
        "SignedSupermask": "tombola.search.signed_supermask",
    },
    globals(),
)
