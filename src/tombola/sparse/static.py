"""Static sparse training: the mask never changes.

Paper B (Gadhikar et al. 2023), section 2: Erdős–Rényi masks train well. Liu et al., "The unreasonable
effectiveness of random pruning", ICLR 2022.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
import torch

from tombola.errors import ArgumentError
from tombola.search.counts import LayerDensity
from tombola.source.density import AnyRule
from tombola.source.network import Source
from tombola.source.settings import check_names
from tombola.sparse.base import SparseTraining, check_free, fit, searched_names
from tombola.sparse.ranking import keep_best, random_ranks


class Static(SparseTraining):
    """Trains the weights of one mask: the source's own, a random part of it, or one given.

    Parameters
    ----------
    source : the network to train, attached.
    density : fraction kept of all weights, or {layer name: fraction}, chosen at random from the seed; None:
        the whole source.
    rule : layerwise rule of that density, as in `densities`; None thins the source evenly.
    mask : {tensor name: booleans} in the place of a density: of `snip`, or of a ticket.
    weights : {tensor name: array} to start from in the place of the source's: a ticket's, say.

    Raises ArgumentError for options that do not fit the source, or each other.
    """

    def __init__(
        self,
        source: Source,
        density: LayerDensity | None = None,
        *,
        rule: AnyRule | None = None,
        mask: Mapping[str, npt.ArrayLike] | None = None,
        weights: Mapping[str, npt.ArrayLike] | None = None,
    ) -> None:
        check_free(source)
        if mask is not None and (density is not None or rule is not None):
            raise ArgumentError("give a mask, or a density and its rule, not both")
        if mask is not None:
            kept = fit(source, mask)
        elif density is None:
            if rule is not None:
                raise ArgumentError("a rule spreads a density: give one, too")
            kept = fit(source, source.mask)
        else:
            ranks = {name: random_ranks(source, name, "sparse") for name in searched_names(source)}
            kept = keep_best(source, ranks, density, rule=rule)
        start = {} if weights is None else _fit_weights(source, weights)
        super().__init__(source, kept)
        self.settings["kept"] = self.mask.digest
        with torch.no_grad():
            for name, values in start.items():
                parameter = source.parameter(name)
                parameter.copy_(values)
                if name in kept:
                    parameter.masked_fill_(~self.masked[name].mask, 0.0)

    def take_mask_of(self, state: Mapping[str, Any]) -> None:
        """Keep the mask of a saved training in the place of this one's, as its `load_state_dict` asks for:
        where masks were chosen by arithmetic, two machines need not have chosen the same.

        Raises ArgumentError for a state that has none, or one that does not fit the source.
        """
        check_names(state, "training", "mask", self.masked)
        self.set_mask({name: state["mask"][name] for name in self.masked})
        self.settings["kept"] = self.mask.digest


def _fit_weights(source: Source, weights: Mapping[str, npt.ArrayLike]) -> dict[str, torch.Tensor]:
    fitted = {}
    for name, values in weights.items():
        if name not in source.shapes:
            raise ArgumentError(f"weights name {name!r}, but the tensors are: {', '.join(source.shapes)}")
        try:
            tensor = torch.as_tensor(values, dtype=torch.float32)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ArgumentError(f"weights {name!r}: expected numbers: {error}") from None
        if tuple(tensor.shape) != source.shapes[name]:
            raise ArgumentError(
                f"weights {name!r}: expected shape {source.shapes[name]}, got {tuple(tensor.shape)}"
            )
        if not bool(torch.isfinite(tensor).all()):
            raise ArgumentError(f"weights {name!r} hold a value that is not finite")
        fitted[name] = tensor
    return fitted
