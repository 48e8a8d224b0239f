"""The command, as its script and `python -m tombola` start it."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run the command; a Ctrl-C while it is imported ends it as later ones do, in a line."""
    try:
        from tombola.cli import main as command
    except KeyboardInterrupt:
        os.write(2, b"tombola: interrupted\n")
        os._exit(130)  # what is half imported would only complain
    return command()


if __name__ == "__main__":
    sys.exit(main())
