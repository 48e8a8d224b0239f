"""The report page: one HTML file with everything in it, which asks nothing of the network."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from tombola.errors import missing_extra
from tombola.files import write_atomically
from tombola.report.run import Run
from tombola.report.summary import summarise

SCRIPTS = ("show.js", "table.js", "plots.js", "detail.js", "start.js")


def write_page(runs: Sequence[Run], damaged: Sequence[str], path: Path) -> None:
    """Write the page of `runs`, and of the lines that say which records are `damaged`.

    Raises TombolaError where plotly is not installed, OSError where the file cannot be written.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ModuleNotFoundError:
        raise missing_extra("the report page", "report") from None
    plotly = get_plotlyjs().replace("</script", r"<\/script")  # where it can only be part of a text
    own = "\n".join(_part(name) for name in SCRIPTS)
    parts = {
        "policy": _policy(own, plotly),
        "style": _part("page.css"),
        # Data, not a script: and "<" is never the beginning of a tag.
        "data": json.dumps(summarise(runs, damaged), separators=(",", ":"), allow_nan=False).replace(
            "<", "\\u003c"
        ),
        "plotly": plotly,
        "script": own,
    }
    page = re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _part("page.html"))
    write_atomically(path, page.encode())


def _part(name: str) -> str:
    return (resources.files("tombola.report") / "page" / name).read_text(encoding="utf-8")


def _policy(*scripts: str) -> str:
    """Nothing is fetched, and no script runs but these. Plotly writes its own style rules."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
