"""Sign flips in the place of generations, where they take less room.

A weight of constant magnitude is its sign: whether that is other than in generation 0 says all that its
generation says, at one bit or less.
"""

from __future__ import annotations

import numpy as np

from tombola.mask import BoolArray
from tombola.source.recipe import RandomTensor, Recipe
from tombola.ticket.codec import Redraws, TensorMask, encode
from tombola.ticket.counts import write_counts


def shortest(recipe: Recipe, tensor: RandomTensor, mask: BoolArray, generations: Redraws) -> Redraws:
    """`generations` of the kept weights, or their sign flips where the distribution allows it and these
    take fewer bytes. `mask` has the tensor's shape; the rest one entry per kept weight, in flat order.
    """
    if recipe.init != "signed_constant" or not generations.any():
        return generations
    flips = _flips(recipe, tensor, mask, generations)
    if not flips.any():
        return np.zeros(generations.shape, dtype=np.uint8)
    return min((generations, flips), key=_nbytes)


def _flips(recipe: Recipe, tensor: RandomTensor, mask: BoolArray, generations: Redraws) -> BoolArray:
    """Which kept weights have another sign than in generation 0."""
    weights = recipe.initial(tensor)
    first = np.signbit(weights[mask])
    changed = np.flatnonzero(generations)
    recipe.overwrite(weights, tensor, np.flatnonzero(mask)[changed], generations[changed])
    flips: BoolArray = np.signbit(weights[mask]) != first
    return flips


def _nbytes(redraws: Redraws) -> int:
    """What the redraws take in a file, beside a mask that costs nothing."""
    words, counts = encode([TensorMask(np.ones(redraws.size, dtype=np.bool_), redraws)])
    return words.nbytes + len(write_counts(counts))
