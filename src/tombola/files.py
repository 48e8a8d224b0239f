"""Writing files so that a reader sees the old content or the new, never a part."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` beside `path`, flush it to the disk, then rename it over `path`.

    A link stays, and what it points to is written; a device or a pipe is written to as it is.
    Raises OSError (disk full, no permission), naming `path`, with the old file intact.
    """
    try:
        _write(Path(os.path.realpath(path)), data)
    except OSError as error:
        # Not the temporary file, of which nobody has heard; a failed write names none at all.
        error.filename, error.filename2 = os.fspath(path), None
        raise


def _write(target: Path, data: bytes) -> None:
    if target.exists() and not target.is_file() and not target.is_dir():
        target.write_bytes(data)  # renaming over /dev/null would replace the device
        return
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; a ticket is to be read by whoever may read its folder.
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
