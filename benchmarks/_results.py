"""Runs benchmarks one after the other and writes what they print into RESULTS.md.

    python benchmarks/_results.py [SCRIPT ...]

All but those called long_ unless some are named; the sections of others stay as they are. It ends with
tried.md.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "RESULTS.md"
TITLE = """# What the benchmarks printed

Written by `make bench`. The first line of each says when and on what; the scripts say what they claim. Times
are given as ratios within one run wherever they can be: machines differ, and are shared. A script without a
section has not been run for this page.
"""


def main() -> int:
    """Exit status 1 if a benchmark failed; its section then stays as it was."""
    names = sys.argv[1:] or [p.name for p in sorted(HERE.glob("[!_]*.py")) if not p.name.startswith("long_")]
    text = RESULTS.read_text() if RESULTS.exists() else ""
    sections = dict(re.findall(r"^## (\S+\.py)\n\n```\n(.*?)```$", text, re.DOTALL | re.MULTILINE))
    failed = False
    for name in names:
        print(f"--- {name}", flush=True)
        process = subprocess.Popen(
            [sys.executable, str(HERE / name)], stdout=subprocess.PIPE, text=True, cwd=HERE.parent
        )
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
        if process.wait():
            failed = True
            continue
        sections[name] = "".join(lines)
        blocks = [f"## {key}\n\n```\n{sections[key]}```\n" for key in sorted(sections)]
        RESULTS.write_text("\n".join([TITLE, *blocks, (HERE / "tried.md").read_text()]))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
