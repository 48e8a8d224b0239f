"""How many weights of each layer a ticket keeps: the k_l of docs/methods/edge-popup.md."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tombola.errors import ArgumentError, unknown
from tombola.source.density import AnyRule, check_density, densities, meets
from tombola.source.network import Source
from tombola.source.plan import Layer

SCOPES = ("layer", "global")
LayerDensity = float | Mapping[str, float]


def kept_counts(
    source: Source,
    density: LayerDensity,
    rule: AnyRule | None = None,
    *,
    at_least: int = 1,
    capped: bool = False,
) -> dict[str, int]:
    """{layer name: k_l} for a ticket of `density`, the fraction kept of all weights searched.

    One number thins an Erdős–Rényi source evenly: k_l = round(density / p · alive_l); in a dense
    source that is round(density · m_l). With a `rule` (a name or a function, as in `densities`) it is spread
    by that, and a mapping gives each searched layer its own: k_l = round(density_l · m_l). Layers that take
    no part keep every weight.

    Raises ArgumentError for a density out of range or above the source's, for one that keeps fewer than
    `at_least` weights in a layer or more than are alive (`capped`: all that are alive are kept then), for a
    mapping that does not name exactly the searched layers, and for a function that spreads another density.
    """
    searched = [layer for layer in source.layers if layer.searched]
    if rule is not None:
        density = _spread(searched, density, rule)
    if isinstance(density, Mapping):
        named = _matching(searched, density)
        return {layer.name: _explicit(source, layer, density, at_least, capped) for layer in named}
    density = check_density(density)  # as Python's number: others may be too narrow for counts
    if density > source.density * (1 + 1e-12):  # which may be a sum's, and rounded
        raise ArgumentError(
            f"ticket density {density:g} is above the source's density {source.density:g}: "
            "a ticket keeps a part of its source; give a density, of all weights, up to that"
        )
    return {layer.name: _thinned(source, layer, density, at_least) for layer in searched}


def check_scope(what: str, scope: str, density: object, rule: AnyRule | None) -> None:
    """Raise ArgumentError for an unknown scope, and for densities of layers where a global `what` keeps to
    none.
    """
    if scope not in SCOPES:
        raise unknown("scope", scope, SCOPES)
    if scope == "global" and (rule is not None or isinstance(density, Mapping)):
        raise ArgumentError(
            f"a global {what} has one density for all layers together: give no rule and no density for each, "
            "or scope='layer'"
        )


def _spread(searched: list[Layer], density: LayerDensity, rule: AnyRule) -> dict[str, float]:
    if isinstance(density, Mapping) or isinstance(rule, Mapping):
        raise ArgumentError("give a density for each layer, or one and a rule to spread it, not both")
    shapes = {layer.name: layer.tensors[0].shape for layer in searched}
    spread = densities(shapes, density, rule)
    if not meets(shapes, spread, density):
        raise ArgumentError(
            f"the rule spreads another density over the layers than {density:g}: give what it gives as the "
            "density, {layer: fraction}"
        )
    return spread


def _thinned(source: Source, layer: Layer, density: float, at_least: int) -> int:
    alive = _alive(source, layer)
    keep = min(alive, round(density / source.density * alive))
    return _check_kept(keep, at_least, layer, density, alive)


def _explicit(source: Source, layer: Layer, given: Mapping[str, float], at_least: int, capped: bool) -> int:
    density = check_density(given[layer.name], f"density of {layer.name!r}")
    alive, keep = _alive(source, layer), round(density * layer.size)
    if keep > alive and not capped:
        raise ArgumentError(
            f"layer {layer.name!r}: density {density:g} asks for {keep} weights, but only {alive} of "
            f"{layer.size} are alive in the source"
        )
    return _check_kept(min(keep, alive), at_least, layer, density, alive)


def _matching(searched: list[Layer], given: Mapping[str, float]) -> list[Layer]:
    names = [layer.name for layer in searched]
    for name in [*given, *names]:
        if name not in given:
            raise ArgumentError(f"density names no value for layer {name!r}")
        if name not in names:
            raise ArgumentError(f"density names {name!r}, but the layers are: {', '.join(names)}")
    return searched


def _alive(source: Source, layer: Layer) -> int:
    return sum(int(np.count_nonzero(source.mask[tensor.name])) for tensor in layer.tensors)


def _check_kept(keep: int, at_least: int, layer: Layer, density: float, alive: int) -> int:
    if keep < at_least:
        remedy = "" if alive else ": a denser source, another rule or dense_first and dense_last give it some"
        raise ArgumentError(
            f"layer {layer.name!r}: density {density:g} keeps none of its {layer.size} weights "
            f"({alive} alive){remedy}"
        )
    return keep
