"""Claim: whenever a search is killed, as by kill -9, and however often, --resume ends with the same files.

Searches on the digits are killed by the clock, at moments drawn at random, several times each; then once
before everything that a search does to a file (open, write out, rename, …), and once more while that is
made up for. Each is resumed to its end and compared with an undisturbed one: ticket, configuration and
examples byte for byte, metrics and result but for seconds, and no file more.

    python benchmarks/faults.py [KILLS BY THE CLOCK, 100 unless given]
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

from _machine import print_machine

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "experiments")]  # runs that are killed, and what is compared

from kill_helpers import ended, start  # noqa: E402
from resume_helpers import OPTIONS, assert_same  # noqa: E402

from commands import TINY  # noqa: E402

EPOCHS = 6
COMMAND = ["search", *TINY, *OPTIONS, "--epochs", str(EPOCHS), "--resume", "--out"]


class Kills:
    """Runs below a folder that are killed and resumed."""

    def __init__(self, home: Path, draw: Random) -> None:
        self.home, self.draw = home, draw
        self.undisturbed = home / "undisturbed"
        self.phases: Counter[str] = Counter()
        self.runs = 0
        self.go_on(self.undisturbed)  # imports what is imported late
        began = time.monotonic()
        self.go_on(home / "timed")
        self.seconds = time.monotonic() - began

    def by_the_clock(self, count: int) -> None:
        """At least `count` kills at random moments, up to five a run."""
        while self.phases.total() < count:
            folder = self.folder()
            for _ in range(self.draw.randint(1, 5)):
                process = start([*COMMAND, str(folder)], folder)
                process.join(self.draw.uniform(0, self.seconds))
                process.kill()
                self.count(folder, ended(process))
            self.finish(folder)

    def at_every_file(self) -> None:
        """One kill before whatever a run does to its files, and one at random while it is made up for."""
        status, at = -signal.SIGKILL, 0
        while status == -signal.SIGKILL:
            folder = self.folder()
            status = ended(start([*COMMAND, str(folder)], folder, at, " "))  # a step has no file's name
            self.count(folder, status)
            self.count(folder, ended(start([*COMMAND, str(folder)], folder, self.draw.randrange(200))))
            self.finish(folder)
            at += 1

    def folder(self) -> Path:
        """A folder for the next run."""
        self.runs += 1
        return self.home / f"run-{self.runs}"

    def count(self, folder: Path, status: int) -> None:
        """In which phase a process was killed, unless it had ended, from what is on the disk."""
        if status == -signal.SIGKILL:
            self.phases[phase(folder)] += 1
        else:
            assert status == 0, status

    def finish(self, folder: Path) -> None:
        """Resume to the end, and compare."""
        self.go_on(folder)
        assert_same(folder, self.undisturbed, "ticket.tombola", "config.toml", "examples.npz")
        assert names(folder) == names(self.undisturbed)

    def go_on(self, folder: Path) -> None:
        """An undisturbed process."""
        assert ended(start([*COMMAND, str(folder)], folder)) == 0


def names(folder: Path) -> set[Path]:
    """Everything below a folder."""
    return {path.relative_to(folder) for path in folder.rglob("*")}


def phase(folder: Path) -> str:
    """What a process was doing, from what it has left behind."""
    metrics = folder / "metrics.jsonl"
    if any(folder.rglob("*.partial")):
        return "while a file was written"
    if not any(folder.glob("checkpoint/*.pt")):
        return "before the first checkpoint"
    epochs = len(metrics.read_text().splitlines()) if metrics.exists() else 0
    return "in an epoch" if epochs < EPOCHS else "after the last epoch"


def main() -> None:
    """A line for each way of killing, one for the phases."""
    print_machine()
    seed = int.from_bytes(os.urandom(4))
    print(f"moments drawn from seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as home:
        kills = Kills(Path(home), Random(seed))
        kills.by_the_clock(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
        by_the_clock, runs = kills.phases.total(), kills.runs
        print(f"by the clock   {by_the_clock} kills in {runs} runs: all ended the same", flush=True)
        kills.at_every_file()
        rest, runs = kills.phases.total() - by_the_clock, kills.runs - runs
        print(f"at every file  {rest} kills in {runs} runs: all ended the same")
    for name, count in kills.phases.most_common():
        print(f"{count:5} {name}")


if __name__ == "__main__":
    main()
