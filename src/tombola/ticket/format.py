"""File <-> what a ticket holds: the recipe, masks and generations, statistics, metadata."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tombola.errors import TicketError
from tombola.mask import Mask
from tombola.rng import WORD_RANGE
from tombola.source.init import DISTRIBUTIONS, FloatArray
from tombola.source.recipe import FixedTensor, Generations, RandomTensor, Recipe, Shape
from tombola.ticket import codec
from tombola.ticket.container import pack, unpack
from tombola.ticket.counts import read_counts, write_counts

MAX_WEIGHTS = 1 << 31


@dataclass(frozen=True)
class Contents:
    """All that a ticket file says. `generations`: one int32 per kept weight, in flat order."""

    recipe: Recipe
    mask: Mask
    generations: dict[str, Generations]
    statistics: dict[str, FloatArray]
    metadata: dict[str, str]
    digest: str


def write(contents: Contents) -> bytes:
    """The ticket file: equal contents give equal bytes."""
    recipe = contents.recipe
    coded = [_coded(contents, tensor) for tensor in recipe.tensors]
    words, counts = codec.encode(coded)
    flat = [values.reshape(-1) for values in contents.statistics.values()]
    arrays: dict[str, np.ndarray] = {
        "code": words,
        "counts": np.frombuffer(write_counts(counts), dtype=np.uint8),
        "statistics": np.concatenate([np.zeros(0, np.float32), *flat]),
    }
    description = {
        "seed": str(recipe.seed),
        "init": recipe.init,
        "tensors": [_row(tensor) for tensor in recipe.tensors],
        "fixed": [[fixed.name, list(fixed.shape), fixed.value] for fixed in recipe.fixed],
        "statistics": [[name, list(values.shape)] for name, values in contents.statistics.items()],
    }
    return pack(
        arrays,
        {
            "digest": contents.digest,
            "recipe": json.dumps(description, separators=(",", ":")),
            "metadata": json.dumps(contents.metadata, sort_keys=True, separators=(",", ":")),
        },
    )


def read(data: bytes) -> Contents:
    """The contents of a ticket file.

    Raises TicketError for a file that is foreign, truncated or damaged, or says what cannot be.
    """
    arrays, header = unpack(data)
    if set(arrays) != {"code", "counts", "statistics"}:
        raise TicketError(f"a ticket holds code, counts and statistics, got {', '.join(sorted(arrays))}")
    try:
        description = json.loads(header["recipe"])
        recipe, shapes = _recipe(description), dict(_shapes(description["statistics"]))
        metadata = json.loads(header["metadata"])
        digest = header["digest"]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise TicketError(f"the ticket's recipe cannot be read: {type(error).__name__} {error}") from None
    check_metadata(metadata, TicketError)
    alive = [recipe.alive(tensor) for tensor in recipe.tensors]
    sizes = [int(np.count_nonzero(array)) for array in alive]
    coded = codec.decode(arrays["code"], sizes, read_counts(arrays["counts"].tobytes(), sizes))
    masks, generations = {}, {}
    for tensor, positions, found in zip(recipe.tensors, alive, coded, strict=True):
        mask = np.zeros(tensor.shape, dtype=np.bool_)
        mask[positions] = found.kept
        masks[tensor.name], generations[tensor.name] = mask, found.generations
    statistics = _statistics(arrays["statistics"], shapes)
    return Contents(recipe, Mask(masks), generations, statistics, metadata, digest)


def check_metadata(metadata: Any, error: type[Exception]) -> dict[str, str]:
    """Return `metadata` as a dict of strings, or raise `error`."""
    if not isinstance(metadata, Mapping):
        raise error(f"metadata must map strings to strings, got {type(metadata).__name__}")
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise error(f"metadata must map strings to strings, got {key!r}: {value!r}")
    return dict(metadata)


def _coded(contents: Contents, tensor: RandomTensor) -> codec.TensorMask:
    alive = contents.recipe.alive(tensor)
    return codec.TensorMask(contents.mask[tensor.name][alive], contents.generations[tensor.name])


def _row(tensor: RandomTensor) -> list[Any]:
    row: list[Any] = [tensor.name, list(tensor.shape), tensor.fan_in]
    if tensor.fan_density != 1.0 or not tensor.is_dense:
        row += [tensor.fan_density, tensor.alive_words]
    return row


def _recipe(description: Mapping[str, Any]) -> Recipe:
    tensors = tuple(_tensor(*row) for row in description["tensors"])
    fixed = tuple(
        FixedTensor(_text(name), _shape(shape), _number(value)) for name, shape, value in description["fixed"]
    )
    names = [tensor.name for tensor in tensors] + [tensor.name for tensor in fixed]
    if len(set(names)) < len(names):
        raise TicketError("the ticket names a tensor twice")
    total = sum(tensor.size for tensor in tensors) + sum(math.prod(tensor.shape) for tensor in fixed)
    if total > MAX_WEIGHTS:
        raise TicketError(f"the ticket asks for {total} weights, more than the limit of {MAX_WEIGHTS}")
    seed = int(description["seed"])
    if description["init"] not in DISTRIBUTIONS or not 0 <= seed < 1 << 64:
        raise TicketError(f"the ticket's init {description['init']!r} or seed {seed} is not known")
    return Recipe(seed, description["init"], tensors, fixed)


def _tensor(
    name: str, shape: list[int], fan_in: float, fan_density: float = 1.0, alive_words: int = WORD_RANGE
) -> RandomTensor:
    if not (_number(fan_in) > 0 and 0 < _number(fan_density) <= 1):
        raise TicketError(f"the ticket's tensor {name!r} has fan-in {fan_in} and fan density {fan_density}")
    if not isinstance(alive_words, int) or not 0 <= alive_words <= WORD_RANGE:
        raise TicketError(f"the ticket's tensor {name!r} has {alive_words!r} alive words")
    return RandomTensor(_text(name), _shape(shape), fan_in, fan_density, alive_words)


def _statistics(values: FloatArray, shapes: Mapping[str, Shape]) -> dict[str, FloatArray]:
    ends = np.cumsum([math.prod(shape) for shape in shapes.values()], dtype=np.int64)
    if values.dtype != np.float32 or values.size != (ends[-1] if len(ends) else 0):
        raise TicketError(f"the ticket holds {values.size} statistics, its recipe names others")
    if not np.isfinite(values).all():
        raise TicketError("the ticket holds statistics that are not finite")
    parts = np.split(values, ends[:-1]) if len(ends) else []
    return {name: part.reshape(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}


def _shapes(rows: Iterable[Any]) -> list[tuple[str, Shape]]:
    return [(_text(name), _shape(shape)) for name, shape in rows]


def _shape(shape: Any) -> Shape:
    if not isinstance(shape, list) or not all(
        type(size) is int and 0 <= size <= MAX_WEIGHTS for size in shape
    ):
        raise TicketError(f"the ticket holds the shape {shape!r}")
    return tuple(shape)


def _text(name: Any) -> str:
    if not isinstance(name, str):
        raise TicketError(f"the ticket holds the name {name!r}")
    return name


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise TicketError(f"the ticket holds the number {value!r}")
    return value
