"""One run as its folder's records tell it: finished, or as far as it has come."""

from __future__ import annotations

import json
import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tombola.errors import RunError

NONE = "none"  # TOML has no word for None: how a config.toml spells it
_RECORDS = ("config.toml", "metrics.jsonl", "result.json")
_FRACTIONS = ("test_accuracy", "density", "source_density", "validation_accuracy")
_DAMAGE = (
    *(ValueError, KeyError, TypeError, IndexError, AttributeError),
    *(RecursionError, OverflowError),  # of what is nested, or a number, beyond all measure
)
_MOST = dict.fromkeys(_FRACTIONS, 1)
_NUMBERS = ("bits_per_weight", "ticket_bytes", "model_bytes", "seconds", "weights", "width", "seed")


@dataclass(frozen=True)
class Run:
    """A run that has been started.

    `command` is "search" or "train", `settings` what config.toml says beside it (both empty where that file
    is missing). `epochs` and `accuracies` (fractions) are its curve so far: on the validation split where it
    has one (`validated`), else on the training images as they came. `result` is result.json, None until the
    run has ended; `tensors` what layers.json has, None where there is no such file.
    """

    name: str
    folder: Path
    command: str
    settings: dict[str, Any]
    validated: bool
    epochs: list[int]
    accuracies: list[float]
    result: dict[str, Any] | None
    tensors: list[dict[str, Any]] | None

    @classmethod
    def read(cls, folder: Path, name: str) -> Run:
        """The run in `folder`, to be called `name`. Raises RunError where a record is damaged."""
        try:
            settings = _config(folder / "config.toml")
            rows = _rows(folder / "metrics.jsonl")
            result = _result(folder / "result.json")
            validated = bool(rows) and rows[0]["validation_accuracy"] is not None
            curve = "validation_accuracy" if validated else "train_accuracy"
            return cls(
                name,
                folder,
                str(settings.pop("command", "")),
                settings,
                validated,
                [int(row["epoch"]) for row in rows],
                [_fraction(row, curve) for row in rows],
                result,
                _tensors(folder / "layers.json"),
            )
        except _DAMAGE as error:
            what = " ".join(str(error).split())
            raise RunError(f"the records in {folder} are damaged: {type(error).__name__} {what}") from None

    @property
    def finished(self) -> bool:
        """Whether it has ended."""
        return self.result is not None

    @property
    def nbytes(self) -> int | None:
        """Size of what the run has made: the ticket's file, or the weights'; None until it has ended."""
        if self.result is None:
            return None
        size: int | None = self.result.get("ticket_bytes") or self.result.get("model_bytes")
        return size

    def value(self, name: str) -> Any:
        """What came out by this name or, of a run that has not ended or did not say, what was asked for."""
        if self.result is not None and self.result.get(name) is not None:
            return self.result[name]
        return self.settings.get(name)


def is_run(folder: Path) -> bool:
    """Whether there is a run in this very folder, finished or not."""
    return any((folder / name).is_file() for name in _RECORDS)


def _config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    for name, value in values.items():
        if not isinstance(value, str | bool):
            _number(values, name)
    return values


def _rows(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if not all(isinstance(row, dict) for row in rows):
        raise TypeError("a line of metrics.jsonl is no row")
    return rows


def _result(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    result = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(result, dict):
        raise TypeError("result.json is no table")
    for name in ("method", "data", "model"):
        if not isinstance(result[name], str):
            raise TypeError(f"{name} in result.json is no text")
    _number(result, "test_accuracy")  # which every result has
    for name in (*_FRACTIONS, *_NUMBERS):
        if result.get(name) is not None:
            _within(result, name, _MOST.get(name, math.inf))
    if not isinstance(result.get("digest"), str | None):
        raise TypeError("digest in result.json is no text")
    return result


def _number(row: dict[str, Any], name: str) -> float:
    value = row[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{name} is no number: {value!r:.40}")
    return value


def _fraction(row: dict[str, Any], name: str) -> float:
    return _within(row, name, 1)


def _within(row: dict[str, Any], name: str, most: float) -> float:
    if not 0 <= (value := _number(row, name)) <= most:
        raise ValueError(f"{name} is impossible: {value!r:.40}")
    return value


def _tensors(path: Path) -> list[dict[str, Any]] | None:
    if not path.is_file():
        return None
    tensors: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["tensors"]
    return [_tensor(tensor) for tensor in tensors]


def _tensor(tensor: dict[str, Any]) -> dict[str, Any]:
    """The tensor, with no more than what is known here; raises where it says something else."""
    counts = {name: int(tensor[name]) for name in ("weights", "alive", "kept")}
    if not 0 <= counts["kept"] <= counts["alive"] <= counts["weights"]:
        raise ValueError(f"the counts of {tensor['name']} in layers.json are impossible")
    generations = tensor["generations"]
    picture = tensor["picture"]
    return {
        "name": str(tensor["name"]),
        "shape": [int(size) for size in tensor["shape"]],
        **counts,
        "generations": generations and [[int(which), int(number)] for which, number in generations],
        "picture": {
            "rows": int(picture["rows"]),
            "columns": int(picture["columns"]),
            "kept": str(picture["kept"]),
            "alive": picture["alive"] and str(picture["alive"]),
        },
    }
