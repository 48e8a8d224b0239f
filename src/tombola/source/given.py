"""Whether what a method is given is a source at all, and not the model that it is to be made of."""

from __future__ import annotations

from tombola.errors import check_kind
from tombola.source.network import Source


def check_source(source: object) -> None:
    """Raise ArgumentError for what is no source."""
    check_kind("source", source, Source, "make one of the model, tombola.Source(model)")
