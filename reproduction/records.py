"""What the sweeps have come to: small tables, kept in records/NAME beside the code that judges them."""

from __future__ import annotations

import csv
import json
import tomllib
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, TypeVar

Setting = TypeVar("Setting", bound=Hashable)

HERE = Path(__file__).parent
KEPT = HERE / "records"
CHANCE = 0.1
"""Test accuracy of guessing among the ten classes that all sweeps have."""
DIVERGED = ("the loss became", "the validation loss became", "what is trained is no number")
"""How a run begins to say that it has."""
SWEPT = "sweep.toml"
"""The file that the runs are of, beside their records: the one in sweeps/ may have changed since."""


@dataclass(frozen=True)
class Rows:
    """Runs, each as {column: text}: the options that vary and what its result.json says."""

    rows: tuple[dict[str, str], ...]

    def where(self, **columns: str | float) -> Rows:
        """Those that have these values; numbers are compared as numbers."""
        return Rows(tuple(row for row in self.rows if all(_is(row.get(k), v) for k, v in columns.items())))

    def values(self, column: str) -> list[float]:
        """A column of the runs that have finished, by seed."""
        ended = [row for row in self.rows if row.get("state", "finished") == "finished"]
        return [float(row[column]) for row in sorted(ended, key=lambda row: int(row["seed"]))]

    @property
    def complete(self) -> bool:
        """Whether there are runs, and all of them have finished."""
        return bool(self.rows) and len(self.values("seed")) == len(self.rows)

    @property
    def ended(self) -> bool:
        """Whether there are runs, and each has finished or diverged: one that failed for another reason, say
        a full disk, is tried again by the next call.
        """
        return bool(self.rows) and len(self.values("seed")) + sum(map(_diverged, self.rows)) == len(self.rows)

    @property
    def begun(self) -> bool:
        """Whether any run has finished."""
        return bool(self.values("seed"))

    def accuracies(self) -> list[float]:
        """Test accuracies in %, by seed; none before all runs have ended. One that has diverged answers no
        better than chance.
        """
        if not self.ended:
            return []
        rows = sorted(self.rows, key=lambda row: int(row["seed"]))
        return [100 * (CHANCE if _diverged(row) else float(row["test_accuracy"])) for row in rows]

    def __add__(self, others: Rows) -> Rows:
        return Rows(self.rows + others.rows)


def _diverged(row: dict[str, str]) -> bool:
    return row.get("state") == "failed" and row.get("error", "").startswith(DIVERGED)


def _is(told: str | None, wanted: str | float) -> bool:
    if isinstance(wanted, str) or not told:
        return told == wanted
    return float(told) == wanted


def runs(*sweeps: str) -> Rows:
    """The finished and unfinished runs of sweeps, one after another; none of one that was not run."""
    return sum(map(_runs, sweeps), Rows(()))


def _runs(sweep: str) -> Rows:
    """With the options that all of them share, which a table has of those alone that have finished."""
    told = table(KEPT / sweep / "results.csv")
    file = KEPT / sweep / SWEPT
    options = tomllib.loads(file.read_text())["options"] if told.rows else {}
    shared = {name: value if isinstance(value, str) else json.dumps(value) for name, value in options.items()}
    return Rows(tuple({**row, **{k: v for k, v in shared.items() if not row.get(k)}} for row in told.rows))


def deciding(seeds: str | None, *sweeps: str) -> Rows:
    """The runs that decide: those of other seeds, in a sweep that was named before it was run, once it has
    ended, and of the first `sweeps` until then.
    """
    others = runs(seeds) if seeds else Rows(())
    return others if others.ended else runs(*sweeps)


def best(settings: Mapping[Setting, Rows]) -> Setting | None:
    """Which setting is best on images held out of training, once all runs of all have ended; one of which a
    run has diverged is not taken. None before that, or where there is no other.
    """
    left = {
        setting: fmean(rows.values("validation_accuracy"))
        for setting, rows in settings.items()
        if rows.complete
    }
    if not left or not all(rows.ended for rows in settings.values()):
        return None
    return max(left, key=left.__getitem__)


def curves(*sweeps: str) -> Rows:
    """Epoch after epoch of these runs, under their names."""
    return sum((table(KEPT / sweep / "curves.csv") for sweep in sweeps), Rows(()))


def machine(sweep: str) -> dict[str, Any] | None:
    """What the runs of a sweep were made on; None where it was not run."""
    file = KEPT / sweep / "machine.json"
    if not file.exists():
        return None
    told: dict[str, Any] = json.loads(file.read_text())
    return told


def table(file: Path) -> Rows:
    """The rows of a CSV file; none where there is no file."""
    if not file.exists():
        return Rows(())
    with file.open(newline="") as lines:
        return Rows(tuple(csv.DictReader(lines)))


def keep(sweep: str, folder: Path, told: dict[str, Any]) -> None:
    """Copy what a sweep has left in `folder` to the records, with what is `told` of the machine."""
    out = KEPT / sweep
    out.mkdir(parents=True, exist_ok=True)
    results = (folder / "results.csv").read_text().replace(str(folder.absolute()), "…")  # in an error, say
    same = (out / "results.csv").exists() and (out / "results.csv").read_text() == results
    (out / "results.csv").write_text(results)
    (out / SWEPT).write_text((folder / SWEPT).read_text())
    with (out / "curves.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["run", "seed", "epoch", "loss", "validation_accuracy"])
        for row in runs(sweep).rows:
            for line in _epochs(folder / row["run"] / "metrics.jsonl"):
                seen = f"{line['loss']:.5f}", f"{line['validation_accuracy']:.4f}"
                writer.writerow([row["run"], row["seed"], line["epoch"], *seen])
    if not same:  # what was run before was run then, and there
        (out / "machine.json").write_text(json.dumps(told, indent=2) + "\n")


def _epochs(file: Path) -> Iterator[dict[str, Any]]:
    if file.exists():
        yield from map(json.loads, file.read_text().splitlines())
