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
MAX_DIMENSIONS = 8
# Within these bounds no weight underflows to 0 or overflows.
MAX_FAN_IN = 1 << 31
MIN_FAN_DENSITY = 2.0**-31


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

    Raises TicketError for a file that is foreign, truncated or damaged, says what cannot be, or is not
    the one file that `write` makes of its contents.
    """
    arrays, header = unpack(data)
    try:
        contents = _read(arrays, header)
        canonical = write(contents) == data
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise TicketError(f"the ticket's recipe cannot be read: {_brief(error)}") from None
    except (ArithmeticError, MemoryError, RecursionError) as error:
        raise TicketError(f"the ticket asks for more than can be: {_brief(error)}") from None
    if not canonical:
        raise TicketError("the ticket is not in its canonical form: its contents make another file")
    return contents


def _read(arrays: Mapping[str, np.ndarray], header: Mapping[str, str]) -> Contents:
    if set(arrays) != {"code", "counts", "statistics"}:
        raise TicketError(f"a ticket holds code, counts and statistics, got {_brief(sorted(arrays))}")
    description = json.loads(header["recipe"])
    recipe, shapes = _recipe(description), dict(_shapes(description["statistics"]))
    statistics = _statistics(arrays["statistics"], shapes)
    metadata = check_metadata(json.loads(header["metadata"]), TicketError)
    alive = [recipe.alive(tensor) for tensor in recipe.tensors]
    sizes = [int(np.count_nonzero(array)) for array in alive]
    coded = codec.decode(arrays["code"], sizes, read_counts(arrays["counts"].tobytes(), sizes))
    masks, generations = {}, {}
    for tensor, positions, found in zip(recipe.tensors, alive, coded, strict=True):
        mask = np.zeros(tensor.shape, dtype=np.bool_)
        mask[positions] = found.kept
        masks[tensor.name], generations[tensor.name] = mask, found.generations
    return Contents(recipe, Mask(masks), generations, statistics, metadata, header["digest"])


def _brief(what: object) -> str:
    """One short line, whatever a hostile file has put into it."""
    return f"{what!r}"[:120]


def check_metadata(metadata: Any, error: type[Exception]) -> dict[str, str]:
    """Return `metadata` as a dict of strings, or raise `error`."""
    if not isinstance(metadata, Mapping):
        raise error(f"metadata must map strings to strings, got {type(metadata).__name__}")
    for key, value in metadata.items():
        if not (isinstance(key, str) and isinstance(value, str) and _encodable(key + value)):
            raise error(f"metadata must map strings to strings, got {_brief(key)}: {_brief(value)}")
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
        FixedTensor(_text(name), _shape(shape), float(_number(value)))
        for name, shape, value in description["fixed"]
    )
    names = [tensor.name for tensor in tensors] + [tensor.name for tensor in fixed]
    if len(set(names)) < len(names):
        raise TicketError("the ticket names a tensor twice")
    total = sum(tensor.size for tensor in tensors) + sum(math.prod(tensor.shape) for tensor in fixed)
    if total > MAX_WEIGHTS:
        raise TicketError(f"the ticket asks for {total} weights, more than the limit of {MAX_WEIGHTS}")
    if not tensors:
        raise TicketError("the ticket holds no tensor")
    seed = int(description["seed"])
    if description["init"] not in DISTRIBUTIONS or not 0 <= seed < 1 << 64:
        said = _brief((description["init"], seed))
        raise TicketError(f"the ticket's init or seed is not known: {said}")
    return Recipe(seed, description["init"], tensors, fixed)


def _tensor(
    name: str, shape: list[int], fan_in: float, fan_density: float = 1.0, alive_words: int = WORD_RANGE
) -> RandomTensor:
    if not (0 < _number(fan_in) <= MAX_FAN_IN and MIN_FAN_DENSITY <= _number(fan_density) <= 1):
        raise TicketError(
            f"the ticket's tensor {_brief(name)} has fan-in {fan_in}, fan density {fan_density}"
        )
    if type(alive_words) is not int or not 0 <= alive_words <= WORD_RANGE:
        raise TicketError(f"the ticket's tensor {_brief(name)} has {_brief(alive_words)} alive words")
    # Numbers in the form that `write` gives them: a whole fan-in as an integer, a density as a float.
    whole = int(fan_in) if float(fan_in).is_integer() else fan_in
    return RandomTensor(_text(name), _shape(shape), whole, float(fan_density), alive_words)


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
    if not isinstance(shape, list) or not all(type(n) is int and 0 <= n <= MAX_WEIGHTS for n in shape):
        raise TicketError(f"the ticket holds the shape {_brief(shape)}")
    # Empty tensors too must have a shape that an array can have.
    if len(shape) > MAX_DIMENSIONS or math.prod(max(n, 1) for n in shape) > MAX_WEIGHTS:
        raise TicketError(
            f"the ticket's shape {_brief(shape)} is more than the limit of {MAX_WEIGHTS} weights"
        )
    return tuple(shape)


def _text(name: Any) -> str:
    if not isinstance(name, str) or not _encodable(name):
        raise TicketError(f"the ticket holds the name {_brief(name)}")
    return name


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 2**128 - 2**103:
        raise TicketError(f"the ticket holds the number {_brief(value)}, which float32 does not")
    return value


def _encodable(text: str) -> bool:
    """Whether UTF-8 can hold the text: lone surrogates, which JSON can spell, it cannot."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
