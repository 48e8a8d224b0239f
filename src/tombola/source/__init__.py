"""Before the search: the random network, its distributions and its Erdős–Rényi mask."""

from typing import TYPE_CHECKING

from tombola._lazy import attributes

if TYPE_CHECKING:
    from tombola.source.density import densities as densities
    from tombola.source.network import Source as Source

__getattr__, __dir__, __all__ = attributes(
    __name__,
    {"Source": "tombola.source.network", "densities": "tombola.source.density"},
    globals(),
)
