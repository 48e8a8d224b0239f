"""What the tests of the command share: running it in this process or in its own, and tiny runs."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tombola import cli
from tombola.ticket import Ticket

# Twenty steps an epoch. Nothing is left to the defaults, which are tuned now and then. One thread, or
# the suite's two processes would wait for each other at every barrier.
_TINY = """--model mlp --width 0.1 --epochs 2 --batch-size 64 --lr 0.1 --momentum 0.9 --weight-decay 1e-4
--warmup 0 --validation 0.1 --threads 1 --precision float32"""
TINY = tuple(_TINY.split())
STEPS = 20

# As in a user's shell: output to a pipe is buffered there, and tables are as wide as this.
_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
_ENVIRONMENT["COLUMNS"] = "200"


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line on standard error, without the program's name; fails if there are more or none."""
        assert self.err.endswith("\n")
        (line,) = self.err.splitlines()
        assert line.startswith("tombola: ")
        assert "Traceback" not in line
        return line.removeprefix("tombola: ")


def tombola(*arguments: str | Path) -> Ended:
    """Run the command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            status = cli.main([str(argument) for argument in arguments])
        except SystemExit as error:  # the parser's
            status = error.code if isinstance(error.code, int) else 1
    return Ended(status, out.getvalue(), err.getvalue())


def python(
    code: str, *arguments: str | Path, cwd: Path, environment: Mapping[str, str] | None = None
) -> Ended:
    """Run a line of Python in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code, *(str(argument) for argument in arguments)],
        cwd=cwd,
        env={**_ENVIRONMENT, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def tombola_process(*arguments: str | Path, cwd: Path, environment: Mapping[str, str] | None = None) -> Ended:
    """Run the command as the shell does."""
    code = "import sys; from tombola.__main__ import main; sys.exit(main())"
    return python(code, *arguments, cwd=cwd, environment=environment)


# The command where torch is not installed, to be run by `python`.
WITHOUT_TORCH = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

sys.meta_path.insert(0, Missing())
from tombola.cli import main
sys.exit(main(sys.argv[1:]))
"""


def refusal(*arguments: str | Path) -> str:
    """The one line with which the command refuses bad input."""
    ended = tombola(*arguments)
    assert ended.status == 2, ended
    assert ended.out == ""
    return ended.complaint


@cache
def _cached() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="tombola-tests-")  # gone when the process ends


@cache
def finished(command: str = "search", *options: str) -> Path:
    """The folder of a tiny run that has ended; not to be written to."""
    folder = Path(_cached().name) / f"run-{len(list(Path(_cached().name).iterdir()))}"
    ended = tombola(command, *TINY, *options, "--out", folder)
    assert ended.status == 0, ended
    return folder


def copy_of_finished(folder: Path, command: str = "search", *options: str) -> Path:
    """The same, to write to."""
    return Path(shutil.copytree(finished(command, *options), folder))


def ticket_of(folder: Path) -> Ticket:
    """The ticket of a run."""
    return Ticket.load(folder / "ticket.tombola")


def result_of(folder: Path) -> dict[str, Any]:
    """The result.json of a run."""
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return result


def metrics_of(folder: Path) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl without what depends on the clock."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("seconds", "examples_per_second")} for row in rows]


def everything_in(folder: Path) -> dict[str, tuple[bytes, int]]:
    """All files below a folder with their bytes and times of change."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def write_module(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, text: str) -> None:
    """A user's module in the working directory `folder`; `name` is to be used by one test alone."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))  # the working directory is put on it
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (folder / f"{name}.py").write_text(text)


def image_folder(folder: Path, channels: int = 3) -> None:
    """A data set of 20 training and 12 test images of 8×8 in two classes, as parquet files."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    folder.mkdir()
    numbers = np.random.default_rng(0)
    for split, count in (("train", 20), ("test", 12)):
        cells = []
        for _ in range(count):
            pixels = numbers.integers(0, 256, (8, 8, channels), dtype=np.uint8)
            buffer = io.BytesIO()
            Image.fromarray(pixels if channels == 3 else pixels[..., 0]).save(buffer, "PNG")
            cells.append({"bytes": buffer.getvalue(), "path": None})
        labels = [number % 2 for number in range(count)]
        pq.write_table(pa.table({"img": cells, "label": labels}), folder / f"{split}.parquet")
