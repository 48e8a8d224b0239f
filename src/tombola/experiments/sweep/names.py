"""Names of the folders of a sweep's runs: short, readable, and the same wherever the file is read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Lower case alone: some file systems take A and a for the same.
_SAFE = re.compile(r"[a-z0-9_.,=+-]{1,120}")
_KEPT = 80


def folder_name(options: Mapping[str, Any]) -> str:
    """The name of the run with these options.

    >>> folder_name({"method": "iterand", "width": 0.5, "seed": 0})
    'method=iterand,width=0.5,seed=0'

    What a file system may not take is replaced, what is too long is cut, and a hash of the whole is added.
    """
    words = {name: _word(value) for name, value in options.items()}
    whole = _join(words)
    # A comma or = in a value could make two runs look alike.
    if _SAFE.fullmatch(whole) and not any(set(",=") & set(word) for word in words.values()):
        return whole
    # The end of a path says more than its beginning.
    short = _join({name: Path(_word(value)).name for name, value in options.items()})
    kept = re.sub(r"[^A-Za-z0-9_.,=+-]+", "-", short)[:_KEPT]
    return f"{kept}-{hashlib.sha256(json.dumps(words).encode()).hexdigest()[:8]}"


def _join(words: Mapping[str, str]) -> str:
    return ",".join(f"{name}={word}" for name, word in words.items())


def _word(value: Any) -> str:
    """A value as TOML would have it, without quotes."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return str(value)
