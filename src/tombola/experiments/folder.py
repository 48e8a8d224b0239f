"""The folder of a run: its lock, configuration, checkpoints and records.

config.toml      the configuration; `--config` runs it again
checkpoint/      latest.pt and the one before it, previous.pt
metrics.jsonl    one line per epoch
layers.json      what a search, or sparse training, kept of each layer
tensorboard/     event files, where --tensorboard asked for them
result.json      written last: a run is finished when it is there
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from tombola.errors import FolderInUseError, RunError, TombolaError
from tombola.experiments.config import RunConfig
from tombola.experiments.tensorboard import FOLDER as TENSORBOARD
from tombola.files import remove_leftovers, write_atomically

CHECKPOINT_VERSION = 1
# Written at the end, by results.py; the other names are attributes below.
_RESULTS = ("ticket.tombola", "model.safetensors", "mask.safetensors", "layers.json", "examples.npz")


class RunFolder:
    """A folder that holds one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = path / ".lock"
        self.config = path / "config.toml"
        self.metrics = path / "metrics.jsonl"
        self.result = path / "result.json"
        self.latest = path / "checkpoint" / "latest.pt"
        self.previous = path / "checkpoint" / "previous.pt"

    @classmethod
    def free(cls, name: str) -> RunFolder:
        """The first of runs/NAME-1, runs/NAME-2, … that does not exist, made: no other process gets it."""
        for number in count(1):
            path = Path("runs") / f"{name}-{number}"
            try:
                path.mkdir(parents=True)
                break
            except FileExistsError:
                continue
        return cls(path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder (made if missing) for this process; the lock dies with it.

        What killed processes have left half-written is removed first. Raises FolderInUseError when another
        process holds the folder, RunError when a file is in its place. An OSError of the block says that its
        checkpoint is kept.
        """
        self._make()
        lock = FileLock(self._lock)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise FolderInUseError(f"{self.path} is in use by another running process") from None
        try:
            self._remove_leftovers()
            yield
        except OSError as error:
            if error.strerror and (self.latest.exists() or self.previous.exists()):
                error.strerror += f" (the last checkpoint is kept: go on with --resume --out {self.path})"
            raise
        finally:
            lock.release()

    def check_unlocked(self) -> None:
        """Raise RunError where another process holds the folder: before the data are read, not after."""
        if self._lock.exists():
            with self.locked():
                pass

    def check_free(self) -> None:
        """Raise RunError where the folder holds a run, or what is left of one, or another process."""
        self.check_unlocked()
        self._check_empty()

    def _check_empty(self) -> None:
        for path in (self.config, self.latest, self.previous, self.metrics, self.result):
            if path.exists():
                raise RunError(
                    f"{self.path} holds another run ({path.name}): choose another --out, "
                    "or go on with --resume"
                )

    def start(self, config: RunConfig) -> None:
        """Begin a run in this folder, which is locked. Raises RunError where it holds another one."""
        self._check_empty()
        if config.tensorboard:  # not among the settings: that the folder is there tells a resumed run
            (self.path / TENSORBOARD).mkdir(exist_ok=True)
        write_atomically(self.config, config.to_toml().encode())

    def finished(self) -> dict[str, Any] | None:
        """The result of a run that has ended, else None. Raises RunError for one that is damaged."""
        if not self.result.exists():
            return None
        try:
            result: dict[str, Any] = json.loads(self.result.read_text())
        except ValueError as error:
            raise RunError(f"{self.result} cannot be read: {error}") from None
        return result

    def save_checkpoint(self, state: Mapping[str, Any]) -> None:
        """Write a checkpoint, keeping the one before it. Whatever happens, one whole one is there.

        Raises OSError, with both as they were, where it cannot be written.
        """
        buffer = io.BytesIO()
        torch.save({"version": CHECKPOINT_VERSION, **state}, buffer)
        self.latest.parent.mkdir(exist_ok=True)
        write_atomically(self.latest, buffer.getvalue(), keep=self.previous)

    @contextmanager
    def fitting(self) -> Iterator[None]:
        """Go on, in the block, from the checkpoint that was loaded. Raises RunError where nothing can be made
        of it.
        """
        try:
            yield
        except (TombolaError, OSError):
            raise
        except Exception as error:  # whatever a state that another program has made may bring about
            what = str(error).partition("\n")[0]  # torch's go on for pages
            raise RunError(
                f"checkpoint {self.latest} does not fit this run ({type(error).__name__}: {what})"
            ) from error

    def load_checkpoint(self) -> dict[str, Any] | None:
        """The newest checkpoint that is whole, or None where there is none at all.

        Raises RunError where there are checkpoints but none can be read: the run must not go on
        from nothing without a word.
        """
        if not (self.latest.exists() or self.previous.exists()):
            return None
        try:
            return _read(self.latest)
        except RunError as error:
            if not self.previous.exists():
                raise
            state = _read_after(error, self.previous)
        # In its place now, or the next checkpoint would push the damaged one over the whole one.
        self.previous.replace(self.latest)
        return state

    def write_metrics(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Write one line per epoch; whole, so that a resumed run leaves no epoch twice."""
        write_atomically(self.metrics, "".join(json.dumps(row) + "\n" for row in history).encode())

    def write_result(self, result: Mapping[str, Any]) -> None:
        """End the run."""
        write_atomically(self.result, (json.dumps(result, indent=2) + "\n").encode())

    def _remove_leftovers(self) -> None:
        """Others may be writing into the folder, such as an export: of it only files of the run itself."""
        for name in (self.config.name, self.metrics.name, self.result.name, *_RESULTS):
            remove_leftovers(self.path, name)
        remove_leftovers(self.latest.parent)

    def _make(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise RunError(f"{self.path} cannot be a folder: a file is in its place") from None


def _read(path: Path) -> dict[str, Any]:
    """The state in a checkpoint. Raises RunError for one that is missing, damaged or of another version."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise RunError(f"checkpoint {path} is missing") from None
    try:
        # torch does not look at the checksums that are in its files.
        if name := zipfile.ZipFile(io.BytesIO(data)).testzip():
            raise zipfile.BadZipFile(f"bad checksum of {name}")
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        if not isinstance(state, dict):
            raise TypeError("not a dictionary")
        version = state["version"]
    except Exception as error:  # zipfile, pickle and torch each have errors of their own
        raise RunError(f"checkpoint {path} is truncated or damaged ({type(error).__name__})") from None
    if version != CHECKPOINT_VERSION:
        raise RunError(f"checkpoint {path} is of version {version!r}, expected {CHECKPOINT_VERSION}")
    return dict(state)


def _read_after(problem: RunError, previous: Path) -> dict[str, Any]:
    """The state in the checkpoint before the newest, which has a `problem`; says so."""
    try:
        state = _read(previous)
    except RunError as error:
        raise RunError(f"{problem}; {error}") from None
    print(f"{problem}: going on from the one before it, {previous}", file=sys.stderr)  # noqa: T201
    return state
