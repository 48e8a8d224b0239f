"""The command that repeats a run, every option spelt out: it needs none of the run's files."""

from __future__ import annotations

import shlex

from tombola.report.run import NONE, Run


def command_of(run: Run) -> str | None:
    """A line for a POSIX shell; None where config.toml is missing."""
    if not run.command or not run.settings:
        return None
    words = ["tombola", run.command]
    for name, value in run.settings.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            words += [f"--{option}", "None" if value == NONE else str(value)]
    return shlex.join(words)
