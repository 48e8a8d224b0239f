"""Rows of an Arrow table to images, labels and class names, in the column layouts of the hub."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tombola.data.dataset import Arrays
from tombola.data.decode import Pixels, ShapeError, concatenate, decode, widen
from tombola.errors import DataError

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "fine_label")
_MOST_CLASSES = 1 << 16  # beyond this the "labels" are ids, not classes


@dataclass(frozen=True)
class Part:
    """What one file holds: `where` names it in errors; `names` are its class names, if it has any."""

    where: str
    images: Pixels
    labels: npt.NDArray[np.int64]
    names: tuple[str, ...] | None


def pick(columns: Sequence[str], known: Sequence[str], what: str, where: str) -> str:
    """The first of the `known` names among `columns`; raises DataError when there is none."""
    for name in known:
        if name in columns:
            return name
    raise DataError(
        f"{where}: no {what} column, expected {' or '.join(known)}, found {', '.join(columns) or 'none'}"
    )


def read_table(table: pa.Table, where: str) -> Part:
    """The images and labels of `table`.

    The image column (img or image) is a struct of bytes and path, or plain binary; the label column
    (label or fine_label) is of integers. Raises DataError for anything else.
    """
    image = pick(table.column_names, IMAGE_COLUMNS, "image", where)
    label = pick(table.column_names, LABEL_COLUMNS, "label", where)
    labels = read_labels(table.column(label), f"{where} column {label}")
    return Part(where, _images(table.column(image), image, where), labels, class_names(table.schema, label))


def _images(column: pa.ChunkedArray, name: str, where: str) -> Pixels:
    kind = column.type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        column = pc.struct_field(column, "bytes")
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        raise DataError(f"{where} column {name}: expected a struct of bytes and path, or binary, got {kind}")
    return decode(column.to_pylist(), where)


def read_labels(column: pa.ChunkedArray, where: str) -> npt.NDArray[np.int64]:
    """A column of labels. Raises DataError where they are no integers, null, negative or no classes."""
    if not pa.types.is_integer(column.type):
        raise DataError(f"{where}: expected integers, got {column.type}")
    if column.null_count:
        raise DataError(f"{where}: {column.null_count} labels are null")
    labels: npt.NDArray[np.int64] = column.to_numpy().astype(np.int64)
    check_labels(labels, _MOST_CLASSES, where)
    return labels


def check_labels(labels: npt.NDArray[np.int64], classes: int, where: str) -> None:
    """Raise DataError, naming the row, for a label outside 0 … classes - 1."""
    bad = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(bad):
        raise DataError(
            f"{where} row {bad[0]}: label {labels[bad[0]]}, expected 0 … {classes - 1} for {classes} classes"
        )


def class_names(schema: pa.Schema, label: str) -> tuple[str, ...] | None:
    """The names that the Hugging Face metadata of `schema` gives the classes of `label`, else None."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        names = features[label]["names"]
    except (KeyError, TypeError, ValueError):
        return None  # no metadata, or none of this form: names are a courtesy, never a requirement
    return tuple(str(name) for name in names) if isinstance(names, list) and names else None


def join(
    train: Sequence[Part], test: Sequence[Part], fallback: tuple[str, ...] | None = None
) -> tuple[Arrays, Arrays, tuple[str, ...]]:
    """Train split, test split and class names out of the files of each.

    `fallback` are the names, and so fixes the number of classes, of a data set that is known; without
    it, and without names in the files, the classes are "0" … the largest label of the train split.
    Raises DataError where the files disagree in shape or names, have no rows, or hold labels beyond
    the classes.
    """
    for parts, split in ((train, "train"), (test, "test")):
        if not any(len(part.labels) for part in parts):
            raise DataError(f"{parts[0].where}: the {split} split has no rows")
    parts = [part for part in (*train, *test) if len(part.labels)]
    _same_shape(parts)
    names = _agreed_names(parts, fallback)
    if names is None:
        most = max(int(part.labels.max()) for part in train if len(part.labels))
        names = tuple(str(label) for label in range(most + 1))
    for part in parts:
        check_labels(part.labels, len(names), part.where)
    channels = max(part.images.shape[3] for part in parts)
    return _merge(train, channels), _merge(test, channels), names


def _same_shape(parts: Sequence[Part]) -> None:
    first = parts[0]
    for part in parts[1:]:
        sizes = [p.images.shape[1] for p in (part, first)]
        if sizes[0] != sizes[1]:
            raise ShapeError(
                f"{part.where} row 0: an image of {sizes[0]}×{sizes[0]} where {first.where} row 0 has "
                f"{sizes[1]}×{sizes[1]}; all must have one shape"
            )


def _agreed_names(parts: Sequence[Part], fallback: tuple[str, ...] | None) -> tuple[str, ...] | None:
    named = [part for part in parts if part.names]
    for part in named[1:]:
        if part.names != named[0].names:
            raise DataError(f"{part.where}: other class names, or another order, than {named[0].where}")
    if not named:
        return fallback
    names = named[0].names
    if names and fallback and len(names) != len(fallback):
        raise DataError(f"{named[0].where}: names {len(names)} classes, expected {len(fallback)}")
    return names


def _merge(parts: Sequence[Part], channels: int) -> Arrays:
    parts = [part for part in parts if len(part.labels)]
    images = concatenate([widen(part.images, channels) for part in parts])
    return Arrays(images, np.concatenate([part.labels for part in parts]))
