"""The command in a pseudo-terminal, what it writes recorded and played into an emulator of a terminal."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import pty
import re
import signal
import struct
import sys
import termios
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path

import pyte

from tombola import cli

HEIGHT = 24
# As in kill_helpers: forked off a process that has imported nearly all that takes time.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tombola.experiments.run", "sklearn.datasets", "torch._dynamo"])
# What rich and the command ask the environment about their terminal.
_ASKED = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
CTRL_C = b"\x03"


@dataclass(frozen=True)
class Recording:
    """What a command wrote to a terminal of so many columns, and its exit status."""

    data: bytes
    columns: int
    status: int

    def final(self) -> list[str]:
        """The lines that are left, with those scrolled away, and without empty ones at the end."""
        return _lines(_played(self.data, self.columns))

    @property
    def cursor_is_hidden(self) -> bool:
        """Whether it is, in the end."""
        return bool(_played(self.data, self.columns).cursor.hidden)

    def moments(self) -> Iterator[list[str]]:
        """The lines before each time that one of them is taken back."""
        screen, stream = _screen(self.columns)
        for part in re.split(rb"(?=\r\x1b\[2K)", self.data):
            stream.feed(part)
            yield _lines(screen)


def record(
    arguments: Sequence[str | Path],
    folder: Path,
    columns: int = 80,
    environment: Mapping[str, str] | None = None,
    interrupt_at: str = "",
) -> Recording:
    """Run the command in `folder` to its end; Ctrl-C is pressed once the screen shows what matches
    `interrupt_at`.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, columns, 0, 0))
    given = (
        [str(argument) for argument in arguments],
        str(folder),
        os.ttyname(slave),
        dict(environment or {}),
    )
    process = _PROCESSES.Process(target=_run, args=given, daemon=True)
    process.start()
    screen, stream = _screen(columns)
    data, pressed = b"", False
    while (ready := wait([master, process.sentinel], 300)) != [process.sentinel]:
        assert master in ready, "nothing for five minutes"
        chunk = os.read(master, 65536)
        data += chunk
        stream.feed(chunk)
        if interrupt_at and not pressed and re.search(interrupt_at, "\n".join(screen.display)):
            os.write(master, CTRL_C)
            pressed = True
    os.close(slave)
    os.close(master)
    process.join()
    assert process.exitcode is not None
    return Recording(data, columns, process.exitcode)


def _run(arguments: list[str], folder: str, terminal: str, environment: dict[str, str]) -> None:
    os.setsid()  # so that the terminal opened next is the one that Ctrl-C comes from
    handle = os.open(terminal, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(handle, stream)
    # A shell ignores it for what it runs in the background, the tests among it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    for name in _ASKED:
        os.environ.pop(name, None)
    os.environ |= {"TERM": "xterm-256color", **environment}
    os.chdir(folder)
    sys.argv = ["tombola", *arguments]
    sys.exit(cli.main())


def _screen(columns: int) -> tuple[pyte.HistoryScreen, pyte.ByteStream]:
    screen = pyte.HistoryScreen(columns, HEIGHT, history=1000, ratio=0.5)
    return screen, pyte.ByteStream(screen)


def _played(data: bytes, columns: int) -> pyte.HistoryScreen:
    screen, stream = _screen(columns)
    stream.feed(data)
    return screen


def _lines(screen: pyte.HistoryScreen) -> list[str]:
    gone = ["".join(line[column].data for column in range(screen.columns)) for line in screen.history.top]
    lines = [line.rstrip() for line in [*gone, *screen.display]]
    while lines and not lines[-1]:
        lines.pop()
    return lines
