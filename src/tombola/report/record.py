"""What the folder of a finished run says: metrics.jsonl, result.json, examples.npz."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tombola.errors import RunError


@dataclass(frozen=True)
class Record:
    """A finished run.

    `epochs` and `accuracies` (fractions) are its curve: on the validation split where it has one
    (`validated`), else on the training images as they came. `images` is uint8 of shape (N, H, W, C), or a
    table's rows, float32 of shape (N, 1, 1, F); `labels` and `answers` are indices into `class_names`, of
    shape (N,).
    """

    name: str
    result: dict[str, Any]
    validated: bool
    epochs: list[int]
    accuracies: list[float]
    images: npt.NDArray[np.uint8] | npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    answers: npt.NDArray[np.int64]
    class_names: list[str]

    @classmethod
    def read(cls, folder: Path) -> Record:
        """The record in `folder`. Raises RunError where no run has ended, or its record is damaged."""
        try:
            result = json.loads((folder / "result.json").read_text())
            rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
            with np.load(folder / "examples.npz", allow_pickle=False) as examples:
                arrays = {name: examples[name] for name in examples.files}
            return cls._of(folder.resolve().name, result, rows, arrays)
        except (FileNotFoundError, NotADirectoryError) as error:
            missing = Path(error.filename).name
            raise RunError(f"{folder} holds no finished run: {missing} is missing") from None
        except (ValueError, KeyError, TypeError, IndexError, EOFError, zipfile.BadZipFile) as error:
            what = " ".join(str(error).split())
            raise RunError(f"the records in {folder} are damaged: {type(error).__name__} {what}") from None

    @classmethod
    def _of(
        cls, name: str, result: dict[str, Any], rows: list[dict[str, Any]], arrays: dict[str, Any]
    ) -> Record:
        validated = rows[0]["validation_accuracy"] is not None
        curve = "validation_accuracy" if validated else "train_accuracy"
        class_names = [str(label) for label in arrays["class_names"]]
        indices = np.concatenate([arrays["labels"], arrays["answers"]])
        if indices.min() < 0 or indices.max() >= len(class_names):
            raise IndexError("a class without a name")
        for key in ("method", "data", "model", "density", "best_epoch", "test_accuracy"):
            result[key]  # KeyError here, not in the middle of a picture
        return cls(
            name,
            result,
            validated,
            [int(row["epoch"]) for row in rows],
            [float(row[curve]) for row in rows],
            arrays["images"],
            arrays["labels"],
            arrays["answers"],
            class_names,
        )

    @property
    def nbytes(self) -> int:
        """Size of what the run has made: the ticket's file, or the weights'."""
        size: int = self.result.get("ticket_bytes") or self.result["model_bytes"]
        return size

    @property
    def title(self) -> str:
        """The method, what it leaves of the network, and the size of its file."""
        density = self.result["density"]
        kept = "all weights" if density == 1.0 else f"{100 * density:.3g} % of the weights"
        trained = "none trained" if self.result.get("ticket_bytes") else "trained"
        return f"{self.result['method']}: {kept}, {trained}, {_bytes(self.nbytes)}"


def _bytes(count: int) -> str:
    """1,234 -> "1.2 kB"."""
    size, unit = (count / 1e6, "MB") if count >= 1e6 else (count / 1e3, "kB")
    return f"{size:.1f} {unit}" if size < 10 else f"{size:,.0f} {unit}"
