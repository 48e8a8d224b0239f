"""Writing files so that a reader sees the old content or the new, never a part."""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path

# What a file is called while it is written: .NAME.xxxxxxxx.partial, with letters drawn by tempfile.
_SUFFIX = ".partial"
# Bytes of NAME that go into it: file systems allow 255, and the rest takes 18.
_LONGEST = 237
METADATA = "__metadata__"
"""What safetensors calls its own entry in a header, and so no tensor."""


def write_atomically(path: str | os.PathLike[str], data: bytes, keep: Path | None = None) -> None:
    """Write `data` beside `path`, flush it to the disk, then rename it over `path`.

    The old file, if there is one, becomes `keep` where that is given: in the last moment, so that a full
    disk moves nothing. A link stays, and what it points to is written; a device or a pipe is written to as
    it is.
    Raises OSError (disk full, no permission), naming `path`, with the old file intact.
    """
    try:
        _write(Path(os.path.realpath(path)), data, keep)
    except OSError as error:
        # Not the temporary file, of which nobody has heard; a failed write names none at all.
        error.filename, error.filename2 = os.fspath(path), None
        raise


def remove_leftovers(folder: Path, name: str | None = None) -> None:
    """Remove what killed processes have left in `folder` of files that they were writing: of the file
    `name`, or of any.

    Only for a caller who knows that no process is writing them now. What cannot be removed stays.
    """
    written = ".+" if name is None else re.escape(_shortened(name))
    pattern = re.compile(rf"\.{written}\.[a-z0-9_]{{8}}{re.escape(_SUFFIX)}")
    with suppress(OSError):  # none there, or not to be read
        for path in folder.iterdir():
            if pattern.fullmatch(path.name):
                path.unlink(missing_ok=True)


def _write(target: Path, data: bytes, keep: Path | None) -> None:
    if target.exists() and not target.is_file() and not target.is_dir():
        target.write_bytes(data)  # renaming over /dev/null would replace the device
        return
    handle, temporary = tempfile.mkstemp(
        dir=target.parent, prefix=f".{_shortened(target.name)}.", suffix=_SUFFIX
    )
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; a ticket is to be read by whoever may read its folder.
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        if keep is not None and target.exists():
            target.replace(keep)
        Path(temporary).replace(target)
    except BaseException:
        with suppress(OSError):  # the error that came first is the one to tell
            Path(temporary).unlink(missing_ok=True)
        raise
    _flush_names(target.parent)


def _shortened(name: str) -> str:
    return os.fsdecode(os.fsencode(name)[:_LONGEST])


def _flush_names(folder: Path) -> None:
    """Let a rename outlive a power cut: its folder, too, has to reach the disk."""
    with suppress(
        OSError
    ):  # Windows opens no folders, some file systems flush none; the file itself is whole
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
