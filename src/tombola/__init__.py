"""Tombola: a neural network out of a seed and a mask.

Finds, ships and verifies strong lottery tickets: accurate subnetworks of random networks whose
weights nobody trained.
"""

from typing import TYPE_CHECKING

from tombola._lazy import attributes
from tombola._version import __version__ as __version__

if TYPE_CHECKING:
    from tombola import data as data
    from tombola import export as export
    from tombola import models as models
    from tombola import sparse as sparse
    from tombola import theory as theory
    from tombola.errors import ArgumentError as ArgumentError
    from tombola.errors import DataError as DataError
    from tombola.errors import RunError as RunError
    from tombola.errors import TicketError as TicketError
    from tombola.errors import TombolaError as TombolaError
    from tombola.mask import Mask as Mask
    from tombola.search.base import Search as Search
    from tombola.search.edge_popup import EdgePopup as EdgePopup
    from tombola.search.iterand import IteRand as IteRand
    from tombola.search.schedule import Geometric as Geometric
    from tombola.search.signed_supermask import SignedSupermask as SignedSupermask
    from tombola.source.density import densities as densities
    from tombola.source.network import Source as Source
    from tombola.ticket.ticket import Ticket as Ticket

__getattr__, __dir__, __all__ = attributes(
    __name__,
    {
        "ArgumentError": "tombola.errors",
        "DataError": "tombola.errors",
        "EdgePopup": "tombola.search.edge_popup",
        "Geometric": "tombola.search.schedule",
        "IteRand": "tombola.search.iterand",
        "Mask": "tombola.mask",
        "RunError": "tombola.errors",
        "Search": "tombola.search.base",
        "SignedSupermask": "tombola.search.signed_supermask",
        "Source": "tombola.source.network",
        "Ticket": "tombola.ticket.ticket",
        "TicketError": "tombola.errors",
        "TombolaError": "tombola.errors",
        "data": "tombola.data",
        "densities": "tombola.source.density",
        "export": "tombola.export",
        "models": "tombola.models",
        "sparse": "tombola.sparse",
        "theory": "tombola.theory",
    },
    globals(),
)
