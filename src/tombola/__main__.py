"""`python -m tombola`: the command, where its script is not on the path."""

import sys

from tombola.cli import main

sys.exit(main())
