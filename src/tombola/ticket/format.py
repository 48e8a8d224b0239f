"""File <-> what a ticket holds: the recipe, masks and redraws, statistics, metadata.

docs/format.md is the specification. A file has four arrays beside its metadata: `code` (`codec.py`),
`counts` (`counts.py`), `recipe` (`description.py`) and `statistics`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tombola.errors import TicketError
from tombola.mask import BoolArray, Mask
from tombola.source.init import FloatArray
from tombola.source.recipe import RandomTensor, Recipe, Shape
from tombola.ticket import codec
from tombola.ticket.codec import Redraws
from tombola.ticket.container import pack, unpack
from tombola.ticket.counts import read_counts, write_counts
from tombola.ticket.description import read_description, write_description
from tombola.ticket.limits import MAX_METADATA, MAX_WEIGHTS

_METADATA = "metadata."


@dataclass(frozen=True)
class Contents:
    """All that a ticket file says. `redraws`: for each tensor one entry per kept weight, in flat order."""

    recipe: Recipe
    mask: Mask
    redraws: dict[str, Redraws]
    statistics: dict[str, FloatArray]
    metadata: dict[str, str]
    digest: str


def write(contents: Contents) -> bytes:
    """The ticket file: equal contents give equal bytes."""
    words, counts = codec.encode([_coded(contents, tensor) for tensor in contents.recipe.tensors])
    flat = [values.reshape(-1) for values in contents.statistics.values()]
    shapes = {name: values.shape for name, values in contents.statistics.items()}
    arrays: dict[str, np.ndarray] = {
        "code": words,
        "counts": np.frombuffer(write_counts(counts), dtype=np.uint8),
        "recipe": np.frombuffer(write_description(contents.recipe, shapes), dtype=np.uint8),
        "statistics": np.concatenate([np.zeros(0, np.float32), *flat]),
    }
    said = {_METADATA + key: value for key, value in contents.metadata.items()}
    return pack(arrays, {"digest": contents.digest, **said})


def read(data: bytes, max_weights: int = MAX_WEIGHTS) -> Contents:
    """The contents of a ticket file.

    Raises TicketError for a file that is foreign, truncated or damaged, says what cannot be, asks for
    more than `max_weights` weights (before any is allocated), or is not the one file that `write` makes
    of its contents.
    """
    arrays, header = unpack(data)
    try:
        contents = _read(arrays, header, max_weights)
        canonical = write(contents) == data
    except (MemoryError, OverflowError) as error:
        raise TicketError(f"the ticket asks for more than can be: {_brief(error)}") from None
    if not canonical:
        raise TicketError("the ticket is not in its canonical form: its contents make another file")
    return contents


def _read(arrays: Mapping[str, np.ndarray], header: Mapping[str, str], max_weights: int) -> Contents:
    expected = {"code": np.uint32, "counts": np.uint8, "recipe": np.uint8, "statistics": np.float32}
    if {name: array.dtype for name, array in arrays.items()} != expected:
        came = _brief({name: str(array.dtype) for name, array in sorted(arrays.items())})
        raise TicketError(f"a ticket holds code, counts, recipe and statistics, got {came}")
    recipe, shapes = read_description(arrays["recipe"].tobytes(), max_weights)
    statistics = _statistics(arrays["statistics"], shapes)
    said = {k.removeprefix(_METADATA): v for k, v in header.items() if k.startswith(_METADATA)}
    metadata = check_metadata(said, TicketError)
    if not re.fullmatch("[0-9a-f]{64}", header.get("digest", "")):
        raise TicketError(f"the ticket's digest must be 64 hex digits, got {_brief(header.get('digest'))}")
    alive = [None if tensor.is_dense else recipe.alive(tensor) for tensor in recipe.tensors]
    sizes = [
        tensor.size if positions is None else int(np.count_nonzero(positions))
        for tensor, positions in zip(recipe.tensors, alive, strict=True)
    ]
    coded = codec.decode(arrays["code"], sizes, read_counts(arrays["counts"].tobytes(), sizes))
    masks: dict[str, BoolArray] = {}
    redraws: dict[str, Redraws] = {}
    for tensor, positions, mask in zip(recipe.tensors, alive, coded, strict=True):
        masks[tensor.name] = _spread(mask.kept, positions).reshape(tensor.shape)
        redraws[tensor.name] = _check_redraws(mask.redraws, tensor, recipe)
    return Contents(recipe, Mask(masks), redraws, statistics, metadata, header["digest"])


def _spread(kept: BoolArray, alive: BoolArray | None) -> BoolArray:
    """The mask over all positions from the one over the alive (None: all)."""
    if alive is None:
        return kept
    mask = np.zeros(alive.shape, dtype=np.bool_)
    mask[alive] = kept
    return mask


def _coded(contents: Contents, tensor: RandomTensor) -> codec.TensorMask:
    mask = contents.mask[tensor.name]
    kept = mask.reshape(-1) if tensor.is_dense else mask[contents.recipe.alive(tensor)]
    return codec.TensorMask(kept, contents.redraws[tensor.name])


def _check_redraws(redraws: Redraws, tensor: RandomTensor, recipe: Recipe) -> Redraws:
    if redraws.dtype == np.bool_ and recipe.init != "signed_constant":
        raise TicketError(f"the ticket flips signs of {tensor.name!r:.80}, but its weights are {recipe.init}")
    return redraws


def _statistics(values: FloatArray, shapes: Mapping[str, Shape]) -> dict[str, FloatArray]:
    sizes = [math.prod(shape) for shape in shapes.values()]
    if values.size != sum(sizes):
        raise TicketError(f"the ticket holds {values.size} statistics, its recipe names {sum(sizes)}")
    if not np.isfinite(values).all():
        raise TicketError("the ticket holds statistics that are not finite")
    parts = np.split(values, np.cumsum(sizes[:-1], dtype=np.int64)) if sizes else []
    return {name: part.reshape(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}


def check_metadata(metadata: Any, error: type[Exception]) -> dict[str, str]:
    """Return `metadata` as a dict of strings, or raise `error`."""
    if not isinstance(metadata, Mapping):
        raise error(f"metadata must map strings to strings, got {type(metadata).__name__}")
    for key, value in metadata.items():
        if not (isinstance(key, str) and isinstance(value, str) and _encodable(key + value)):
            raise error(f"metadata must map strings to strings, got {_brief(key)}: {_brief(value)}")
    size = sum(len(text.encode()) for item in metadata.items() for text in item)
    if size > MAX_METADATA:
        raise error(f"metadata must not exceed {MAX_METADATA} bytes, got {size}")
    return dict(metadata)


def _brief(what: object) -> str:
    """One short line, whatever a hostile file has put into it."""
    return f"{what!r}"[:120]


def _encodable(text: str) -> bool:
    """Whether UTF-8 can hold the text: lone surrogates, which JSON can spell, it cannot."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
