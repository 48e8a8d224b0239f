"""Runs sweeps and judges the claims: `python -m reproduction run [SWEEP …]`, or `judge`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from reproduction import int8, machine, page, records, theory
from reproduction.claims import ALL as CLAIMS
from reproduction.claims import c1
from reproduction.sweeps import ALL, GPU, TWO_HOURS, data_of, file_of

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
    if options.command == "run":
        names = GPU if options.sweeps == ["gpu"] else tuple(options.sweeps) or TWO_HOURS
        if unknown := [name for name in names if name not in ALL]:
            parser.error(f"unknown sweep {unknown[0]!r}; there are {', '.join(ALL)}, and gpu")
        for name in names:
            print(f"--- {name}", flush=True)
            if status := run(name, options.runs / name):
                return status
    page.write(CLAIMS)
    return 0


def run(name: str, out: Path, engine: str = "auto") -> int:
    """Run a sweep, or go on with it, and keep its records; `engine` and exit status as of `tombola sweep`."""
    if name == theory.NAME:
        done = subprocess.run([*_tombola(), *theory.COMMAND], stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode == 0:
            theory.keep(done.stdout, machine.told())
        return done.returncode
    status = subprocess.run(
        [*_tombola(), "sweep", str(file_of(name)), "--out", str(out), "--engine", engine], check=False
    ).returncode
    if (out / "results.csv").exists():  # what has finished counts, should others have failed or be waiting
        records.keep(name, out, machine.told(data_of(name)))
        if name == c1.SWEEP:
            int8.keep(name, out)
    return status


def _tombola() -> tuple[str, ...]:
    return sys.executable, "-m", "tombola"


if __name__ == "__main__":
    sys.exit(main())
