"""What a researcher checks a ticket against: its mask shuffled within layers.

The two other checks need no function of their own. Retrained: `Static(source, mask=ticket.mask,
weights=ticket.weights())`. Re-initialised: `Static(source, mask=ticket.mask)` over a source of another seed.
(Frankle and Carbin, "The lottery ticket hypothesis", ICLR 2019; Frankle et al., "Pruning neural networks at
initialization: why are we missing the mark?", ICLR 2021.)
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from tombola.errors import ArgumentError
from tombola.mask import Mask, top_k
from tombola.rng import Stream, check_seed


def shuffled(
    mask: Mapping[str, npt.ArrayLike], seed: int, within: Mapping[str, npt.ArrayLike] | None = None
) -> Mask:
    """A mask with as many weights in every tensor, at random places: of `within` (a source's mask) alone
    where that is given.

    Raises ArgumentError where `mask` leaves `within`.
    """
    given = mask if isinstance(mask, Mask) else Mask(mask)
    allowed = None if within is None else Mask(dict(within))
    check_seed(seed)
    if allowed is not None and not given <= allowed:
        raise ArgumentError("the mask to shuffle leaves the one it is to stay within")
    places = {}
    for name, kept in given.items():
        ranks = Stream(seed, name, "shuffle").words(kept.size).astype(np.float64)
        if allowed is not None:
            ranks[~allowed[name].reshape(-1)] = -np.inf
        places[name] = top_k(ranks, int(np.count_nonzero(kept))).reshape(kept.shape)
    return Mask(places)
