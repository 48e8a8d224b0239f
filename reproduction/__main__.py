"""Runs sweeps and judges the claims: `python -m reproduction run [SWEEP …]`, or `judge`."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from pathlib import Path

from reproduction import int8, machine, page, records, theory
from reproduction.claims import ALL as CLAIMS
from reproduction.claims import c1
from reproduction.sweeps import ALL, GPU, TWO_HOURS, data_of, file_of
from tombola.errors import TombolaError

RUNS = Path("runs/reproduction")


def main() -> int:
    """Exit status of the first sweep that did not end well, else 0."""
    parser = argparse.ArgumentParser(prog="python -m reproduction", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    runner = commands.add_parser("run", help="run sweeps, keep their records, and judge all claims")
    runner.add_argument(
        "sweeps",
        nargs="*",
        metavar="SWEEP",
        help=f"{', '.join(ALL)}; gpu: all that begin so (default: {', '.join(TWO_HOURS)})",
    )
    runner.add_argument("--runs", type=Path, default=RUNS, help=f"folder of the runs (default: {RUNS})")
    commands.add_parser("judge", help="judge all claims by the records that are there")
    options = parser.parse_args()
    status = 0
    if options.command == "run":
        names = GPU if options.sweeps == ["gpu"] else tuple(options.sweeps) or TWO_HOURS
        if unknown := [name for name in names if name not in ALL]:
            parser.error(f"unknown sweep {unknown[0]!r}; there are {', '.join(ALL)}, or gpu alone")
        for name in names:
            print(f"--- {name}", flush=True)
            try:
                status = run(name, options.runs / name)
            except TombolaError as error:
                print(f"reproduction: {name}: {error}", file=sys.stderr)
                status = 2
            if status:
                break
    page.write(CLAIMS)  # after a sweep that was stopped, too: its records are others than before
    return status


def run(name: str, out: Path, engine: str = "auto") -> int:
    """Run a sweep, or go on with it, and keep its records; `engine` and exit status as of `tombola sweep`."""
    if name == theory.NAME:
        status, printed = _tombola(*theory.COMMAND, stdout=subprocess.PIPE)
        if status == 0:
            theory.keep(printed, machine.told())
        return status
    status, _ = _tombola("sweep", str(file_of(name)), "--out", str(out), "--engine", engine)
    # What has finished counts, should others have failed or be waiting; where nothing has, the records stay.
    if records.table(out / "results.csv").where(state="finished").rows:
        records.keep(name, out, machine.told(data_of(name)))
        if name == c1.SWEEP:
            int8.keep(name, out)
    return status


def _tombola(*arguments: str, stdout: int | None = None) -> tuple[int, str]:
    """Exit status and output of the command. Ctrl-C, which a terminal sends to it, too, is left to it: it
    writes its checkpoints, where `subprocess.run` would kill it; SIGTERM is handed on.
    """
    with subprocess.Popen([sys.executable, "-m", "tombola", *arguments], stdout=stdout, text=True) as child:
        former = {
            signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None),
            signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: child.terminate()),
        }
        try:
            printed, _ = child.communicate()
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)
    return child.returncode, printed or ""


if __name__ == "__main__":
    sys.exit(main())
