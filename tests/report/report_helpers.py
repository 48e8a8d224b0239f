"""Records of many runs, made from those of one, and the browser that the page is looked at with."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from commands import finished


def write_run(
    folder: Path,
    settings: Mapping[str, Any] | None = None,
    result: Mapping[str, Any] | None = None,
    curve: list[float] | None = None,
) -> Path:
    """The records of a finished search with other settings, figures and validation accuracies."""
    folder.mkdir(parents=True)
    config = tomllib.loads((finished() / "config.toml").read_text())
    (folder / "config.toml").write_text(tomli_w.dumps({**config, **(settings or {})}))
    old = json.loads((finished() / "result.json").read_text())
    both = {name: value for name, value in (settings or {}).items() if name in old}
    (folder / "result.json").write_text(json.dumps({**old, **both, **(result or {})}))
    row = json.loads((finished() / "metrics.jsonl").read_text().splitlines()[0])
    rows = [
        {**row, "epoch": epoch, "validation_accuracy": accuracy}
        for epoch, accuracy in enumerate(curve or [0.25, 0.5], start=1)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    shutil.copy(finished() / "layers.json", folder / "layers.json")
    return folder


def write_runs(folder: Path, count: int, seeds: int = 5, epochs: int = 30) -> Path:
    """So many runs below `folder`, in groups of so many seeds: two methods, five densities, widths."""
    for number in range(count):
        place, seed = divmod(number, seeds)
        width = round(0.1 * (1 + place // 10), 1)
        method = ("iterand", "edge-popup")[place % 2]
        density = (0.1, 0.2, 0.3, 0.4, 0.5)[place // 2 % 5]
        settings = {"seed": seed, "method": method, "density": density, "width": width}
        top = 0.5 + 0.45 * (number * 7919 % 1000) / 1000
        curve = [top * (1 - 0.8**epoch) for epoch in range(1, epochs + 1)]
        size = round(1e4 * width)
        write_run(folder / f"run-{number:04}", settings, {"test_accuracy": top, "ticket_bytes": size}, curve)
    return folder


def unfinished(folder: Path) -> Path:
    """A run that was stopped after its first epoch."""
    write_run(folder, curve=[0.3])
    (folder / "result.json").unlink()
    (folder / "layers.json").unlink()
    return folder
