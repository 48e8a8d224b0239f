"""The claims, in the order of the page."""

from reproduction.claims import a1, a2, a3, a4, b1, b2, b3, b4, c1, c2, c3

ALL = tuple(module.CLAIM for module in (a1, a2, a3, a4, b1, b2, b3, b4, c1, c2, c3))
