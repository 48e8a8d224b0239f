"""The result: a ticket, its file and its code words. Reading one needs no torch."""

from typing import TYPE_CHECKING

from tombola._lazy import attributes

if TYPE_CHECKING:
    from tombola.ticket.ticket import Ticket as Ticket

__getattr__, __dir__, __all__ = attributes(__name__, {"Ticket": "tombola.ticket.ticket"}, globals())
