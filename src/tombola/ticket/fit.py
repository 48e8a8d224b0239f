"""Whether what a user brings fits a source, and the source a ticket."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tombola.errors import ArgumentError, TicketError
from tombola.mask import Mask
from tombola.source.init import FloatArray
from tombola.source.recipe import Generations, Recipe, check_generations
from tombola.ticket.codec import MAX_SYMBOLS, narrow
from tombola.ticket.description import read_description, write_description
from tombola.ticket.varint import LARGEST


class RandomNetwork(Protocol):
    """What a ticket needs of a source (`tombola.Source` is one)."""

    recipe: Recipe
    mask: Mask

    def generations(self) -> dict[str, Generations | None]:
        """The generation of every weight."""
        ...

    def statistics(self) -> dict[str, FloatArray]:
        """The running statistics of the normalisation layers."""
        ...


def check_network(source: object) -> None:
    """Raise ArgumentError for what is no random network: the model that a source is made of, say."""
    if not isinstance(getattr(source, "recipe", None), Recipe):
        raise ArgumentError(
            f"source must be a Source, got a {type(source).__name__}: make one of the model, "
            "tombola.Source(model)"
        )


def fit_mask(source: RandomNetwork, mask: Mask) -> Mask:
    """`mask` in the source's order.

    Raises ArgumentError where names or shapes differ, or the mask leaves S_ER.
    """
    shapes = {tensor.name: tensor.shape for tensor in source.recipe.tensors}
    _check_names("mask", mask, shapes)
    for name, shape in shapes.items():
        if name not in mask or mask[name].shape != shape:
            came = f"shape {mask[name].shape}" if name in mask else "nothing"
            raise ArgumentError(f"mask {name!r}: expected shape {shape}, got {came}")
        outside = int(np.count_nonzero(mask[name] & ~source.mask[name]))
        if outside:
            raise ArgumentError(f"mask {name!r} keeps {outside} weights outside of the source network")
    return Mask({name: mask[name] for name in shapes})


def fit_generations(
    source: RandomNetwork, generations: Mapping[str, npt.ArrayLike]
) -> dict[str, Generations | None]:
    """Generations as int32 arrays. Raises ArgumentError for names, shapes or values that do not fit."""
    shapes = {tensor.name: tensor.shape for tensor in source.recipe.tensors}
    _check_names("generations", generations, shapes)
    checked: dict[str, Generations | None] = {}
    for name, values in generations.items():
        checked[name] = check_generations(name, np.asarray(values), shapes[name])
    return checked


def fit_numbers(name: str, generations: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    """`generations` of a tensor's kept weights, narrowed. Raises ArgumentError for more different ones than
    a ticket tells apart.
    """
    generations = narrow(generations)
    if generations.size > MAX_SYMBOLS and (present := np.unique(generations).size) > MAX_SYMBOLS:
        raise ArgumentError(f"generations {name!r}: at most {MAX_SYMBOLS} different ones, got {present}")
    return generations


def _check_names(what: str, given: Iterable[str], known: Mapping[str, object]) -> None:
    for name in given:
        if name not in known:
            raise ArgumentError(f"{what} names {name!r}, which the source does not have")


def fit_description(recipe: Recipe, statistics: Mapping[str, FloatArray]) -> None:
    """Raise ArgumentError for a network that no ticket file can describe."""
    shapes = {name: values.shape for name, values in statistics.items()}
    try:
        read_description(write_description(recipe, shapes), max_weights=LARGEST)
    except TicketError as error:
        raise ArgumentError(f"no ticket can hold this network: {error}") from None


def fit_statistics(source: RandomNetwork) -> dict[str, FloatArray]:
    """The source's statistics. Raises ArgumentError where one is no finite number."""
    statistics = source.statistics()
    for name, values in statistics.items():
        if not np.isfinite(values).all():
            raise ArgumentError(f"statistic {name!r} holds a value that is not finite: no ticket can hold it")
    return statistics
