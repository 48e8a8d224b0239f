"""Ranks of weights -> the mask of the best, with the exact counts of a density."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from itertools import chain

import torch

from tombola.errors import ArgumentError
from tombola.rng import Stream
from tombola.search.counts import LayerDensity, check_scope, kept_counts
from tombola.search.select import select
from tombola.source.density import AnyRule
from tombola.source.network import Source

Ranks = Mapping[str, torch.Tensor]
"""{tensor name: a finite number per weight, the greater the better; -inf: not to be kept}."""


def keep_best(
    source: Source,
    ranks: Ranks,
    density: LayerDensity,
    *,
    rule: AnyRule | None = None,
    scope: str = "layer",
) -> dict[str, torch.Tensor]:
    """Masks of the highest ranks among the source's alive weights, ties to the lower index.

    `layer` keeps the k_l of `kept_counts` in each layer, `global` their sum over all of them together.
    Raises what `kept_counts` raises, and ArgumentError for an unknown scope or a rank that is NaN or +inf.
    Warns when a global ranking leaves a layer without a weight, for the network is then cut through.
    """
    counts = counts_in(source, density, rule=rule, scope=scope)
    layers = layers_of(source)
    for name in chain(*layers.values()):
        check_ranks(name, ranks[name])
    alive = {name: within(source, name, ranks[name]) for name in chain(*layers.values())}
    groups = layers if scope == "layer" else {"": [*chain(*layers.values())]}
    masks: dict[str, torch.Tensor] = {}
    for group, names in groups.items():
        keep = counts[group] if scope == "layer" else sum(counts.values())
        masks |= zip(names, select([alive[name] for name in names], keep), strict=True)
    empty = [layer for layer, names in layers.items() if not any(bool(masks[name].any()) for name in names)]
    if empty:
        warnings.warn(f"layers left without a weight: {', '.join(empty)}", stacklevel=3)
    return masks


def counts_in(
    source: Source, density: LayerDensity, *, rule: AnyRule | None = None, scope: str = "layer"
) -> dict[str, int]:
    """The k_l of `kept_counts`, of which a global ranking needs the sum alone: some may be 0 then.

    Raises what `kept_counts` raises, and ArgumentError for an unknown scope, a sum of 0, or densities of
    layers that a global ranking would not keep to.
    """
    check_scope("ranking", scope, density, rule)
    counts = kept_counts(source, density, rule, at_least=1 if scope == "layer" else 0)
    if sum(counts.values()) == 0:
        raise ArgumentError(f"density {density} keeps none of the network's weights")
    return counts


def layers_of(source: Source) -> dict[str, list[str]]:
    """{layer name: its tensors} of the layers that take part."""
    return {
        layer.name: [tensor.name for tensor in layer.tensors] for layer in source.layers if layer.searched
    }


def check_ranks(name: str, ranks: torch.Tensor) -> None:
    """Raise ArgumentError naming the tensor when a rank is NaN or +inf."""
    if bool((torch.isnan(ranks) | torch.isposinf(ranks)).any()):
        raise ArgumentError(f"the weights, or gradients, of {name!r} must be numbers to be ranked")


def within(source: Source, name: str, ranks: torch.Tensor) -> torch.Tensor:
    """`ranks` of a tensor, -inf outside the source."""
    alive = source.slot(name).alive
    return ranks if alive is None else torch.where(alive, ranks, -torch.inf)


def random_ranks(source: Source, name: str, purpose: str, round_number: int = 0) -> torch.Tensor:
    """A random number per weight of a tensor, float64: a function of (seed, name, purpose, round)."""
    parameter = source.parameter(name)
    words = Stream(source.seed, name, purpose, round_number).words(parameter.numel())
    return torch.from_numpy(words.astype("float64")).reshape(parameter.shape).to(parameter.device)


def magnitudes(source: Source, names: Iterable[str]) -> dict[str, torch.Tensor]:
    """|W| of each tensor."""
    return {name: source.parameter(name).detach().abs() for name in names}
