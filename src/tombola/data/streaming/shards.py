"""One parquet file of images: its labels and its footer, and its row groups, one at a time."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tombola.data.table import IMAGE_COLUMNS, LABEL_COLUMNS, class_names, pick, read_labels
from tombola.errors import DataError

Opener = Callable[[str], IO[bytes]]
Result = TypeVar("Result")
# Seconds before a read is tried again: a run of days must outlive a connection that breaks.
PAUSES = (1.0, 5.0, 25.0)


def open_local(path: str) -> IO[bytes]:
    """A file of this machine. A plain handle: a path would be memory-mapped."""
    return open(path, "rb")  # noqa: PTH123 (an `Opener`; whoever calls it closes it)


@dataclass(frozen=True, eq=False)
class Shard:
    """A file by its name, how to open it, and what was read of it: footer and labels."""

    name: str
    opener: Opener
    metadata: Any
    image: str
    labels: npt.NDArray[np.int64]
    class_names: tuple[str, ...] | None

    @classmethod
    def open(cls, name: str, opener: Opener = open_local) -> Shard:
        """Read the footer and the label column. Raises DataError for a file that cannot be used."""

        def read(handle: IO[bytes]) -> Shard:
            file = pq.ParquetFile(handle, pre_buffer=True)
            schema = file.schema_arrow
            image = pick(schema.names, IMAGE_COLUMNS, "image", name)
            label = pick(schema.names, LABEL_COLUMNS, "label", name)
            column = file.read(columns=[label]).column(0)
            labels = read_labels(column, f"{name} column {label}")
            leaf = _bytes_leaf(schema.field(image).type, image, name)
            return cls(name, opener, file.metadata, leaf, labels, class_names(schema, label))

        return _patiently(name, opener, read)

    @property
    def group_sizes(self) -> list[int]:
        """Rows of each row group."""
        return [self.metadata.row_group(number).num_rows for number in range(self.metadata.num_row_groups)]

    @property
    def nbytes(self) -> int:
        """Bytes of all columns, uncompressed."""
        groups = (self.metadata.row_group(number) for number in range(self.metadata.num_row_groups))
        return sum(group.total_byte_size for group in groups)

    def group(self, number: int) -> pa.Array:
        """The encoded images of one row group, binary. Raises DataError where it cannot be read."""

        def read(handle: IO[bytes]) -> pa.Array:
            file = pq.ParquetFile(handle, metadata=self.metadata, pre_buffer=True)
            column = file.read_row_group(number, columns=[self.image], use_threads=False).column(0)
            if pa.types.is_struct(column.type):
                column = pc.struct_field(column, "bytes")
            return column.combine_chunks()

        return _patiently(self.name, self.opener, read)

    def fingerprint(self) -> bytes:
        """Of the footer, which says how long every piece is and where it lies, and of the labels."""
        name = self.name.rpartition("/")[2]
        digest = hashlib.blake2b(f"{name} {self.metadata.to_dict()}".encode(), digest_size=16)
        digest.update(np.ascontiguousarray(self.labels).data)
        return digest.digest()


def _bytes_leaf(kind: pa.DataType, image: str, where: str) -> str:
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        return f"{image}.bytes"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return image
    raise DataError(f"{where} column {image}: expected a struct of bytes and path, or binary, got {kind}")


def _patiently(name: str, opener: Opener, read: Callable[[IO[bytes]], Result]) -> Result:
    """What `read` makes of the file, tried again where it lies on another machine."""
    for pause in (*PAUSES, None):
        try:
            with opener(name) as handle:
                return read(handle)
        except DataError:
            raise
        except Exception as error:
            # File systems of the network raise errors of many unrelated classes.
            if opener is not open_local and pause is not None and not isinstance(error, pa.ArrowInvalid):
                time.sleep(pause)
                continue
            what = " ".join(str(error).split()) or type(error).__name__
            raise DataError(f"{name}: cannot read it as parquet ({what})") from error
    raise AssertionError("the last attempt returns or raises")
