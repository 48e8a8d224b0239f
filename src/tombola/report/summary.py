"""What the page is told of runs and their groups: plain values, few enough for a thousand runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from tombola.report.groups import FIGURES, Group, Spread, figure, group
from tombola.report.repeat import command_of
from tombola.report.run import Run

Point = TypeVar("Point")
POINTS = 60  # of a curve, at most
BARS = 40  # of a histogram of generations, at most
TABLES = 4_000_000
"""Characters that layers may take together, about: further runs do without."""
PICTURES = 4_000_000
"""The same of the masks' pictures."""


def summarise(
    runs: Sequence[Run], damaged: Sequence[str], tables: int = TABLES, pictures: int = PICTURES
) -> dict[str, Any]:
    """All that the page shows. `tables` and `pictures` bound what it says of layers, in characters."""
    groups = group(runs)
    home = {place: number for number, members in enumerate(groups) for place in members.members}
    common = _common(runs)
    rows = []
    layers, masks = _Room(tables), _Room(pictures)
    for place, run in enumerate(runs):
        row = _run(run, common)
        row["group"] = home[place]
        row["layers"] = _layers(run.tensors, layers, masks) if run.tensors is not None else None
        rows.append(row)
    return {
        "common": {name: _exact(value) for name, value in common.items()},
        "runs": rows,
        "groups": [_group(members) for members in groups],
        "damaged": list(damaged),
        "without_layers": layers.refused,
        "without_pictures": masks.refused,
    }


class _Room:
    """A number of characters, taken until there are none left."""

    def __init__(self, left: int) -> None:
        self.left, self.refused = left, 0

    def take(self, size: int) -> bool:
        """Whether there was room for so many more."""
        if size > self.left:
            self.left, self.refused = 0, self.refused + 1  # the first runs are whole, not those that fit
            return False
        self.left -= size
        return True


def _common(runs: Sequence[Run]) -> dict[str, Any]:
    """The settings that all runs share: told once."""
    first = runs[0].settings if runs else {}
    return {
        name: value
        for name, value in first.items()
        if all(name in run.settings and run.settings[name] == value for run in runs)
    }


def _run(run: Run, common: dict[str, Any]) -> dict[str, Any]:
    picked = decimate(list(zip(run.epochs, run.accuracies, strict=True)))
    return {
        "name": run.name,
        "command": run.command,
        "finished": run.finished,
        "epochs_done": run.epochs[-1] if run.epochs else 0,
        **{name: _exact(run.value(name)) for name in ("method", "data", "model", "width", "seed")},
        **{name: _short(figure(run, name)) for name in FIGURES},
        "source_density": run.result and run.result.get("source_density"),
        "digest": run.result and run.result.get("digest"),
        "ticket": bool(run.result and run.result.get("ticket_bytes")),
        "settings": {name: _exact(value) for name, value in run.settings.items() if name not in common},
        "validated": run.validated,
        "epochs": [epoch for epoch, _ in picked],
        "accuracies": [_short(accuracy) for _, accuracy in picked],
        "repeat": command_of(run),
    }


def _group(members: Group) -> dict[str, Any]:
    curve = decimate(list(members.curve.items()))
    return {
        "members": members.members,
        "seeds": members.seeds,
        "figures": {name: _spread(spread) for name, spread in members.figures.items()},
        "epochs": [epoch for epoch, _ in curve],
        "means": [_short(spread.mean) for _, spread in curve],
        "deviations": [_short(spread.deviation) for _, spread in curve],
    }


def _spread(spread: Spread | None) -> list[float | None] | None:
    return None if spread is None else [_short(spread.mean), _short(spread.deviation), spread.count]


def _layers(tensors: list[dict[str, Any]], tables: _Room, pictures: _Room) -> dict[str, Any]:
    """The layers of one run, `left_out` where there is no room for them."""
    counts = [[tensor[key] for key in ("name", "shape", "weights", "alive", "kept")] for tensor in tensors]
    if not tables.take(sum(len(str(row)) for row in counts)):
        return {"left_out": True}
    sizes = [len(tensor["picture"]["kept"]) + len(tensor["picture"]["alive"] or "") for tensor in tensors]
    shown = pictures.take(sum(sizes))
    return {
        "left_out": False,
        "tensors": counts,
        "generations": _histogram(tensor["generations"] for tensor in tensors),
        "pictures": [tensor["picture"] for tensor in tensors] if shown else None,
    }


def _histogram(tensors: Iterable[list[list[int]] | None]) -> list[list[int]] | None:
    """[first generation, last, how many kept weights are of these] over all tensors, in at most `BARS` bars
    of equal width; None where weights are trained.
    """
    whole: Counter[int] = Counter()
    for tensor in tensors:
        if tensor is None:
            return None
        for generation, number in tensor:
            whole[generation] += number
    if not whole:
        return []
    width = -(-(max(whole) + 1) // BARS)
    bars: Counter[int] = Counter()
    for generation, number in whole.items():
        bars[generation // width] += number
    return [[bar * width, (bar + 1) * width - 1, bars[bar]] for bar in range(max(whole) // width + 1)]


def decimate(points: Sequence[Point], most: int = POINTS) -> list[Point]:
    """At most so many of the points, evenly: the first and the last are among them."""
    if len(points) <= most:
        return list(points)
    step = (len(points) - 1) / (most - 1)
    return [points[round(number * step)] for number in range(most)]


def _exact(value: Any) -> Any:
    """The value, as a text where a browser's numbers would round it: seeds go up to 2**64 - 1."""
    return str(value) if isinstance(value, int) and abs(value) > 1 << 53 else value


def _short(value: float | None) -> float | None:
    """Six significant digits: more than anybody reads, and a smaller page. Whole numbers stay."""
    return value if value is None or float(value).is_integer() else float(f"{value:.6g}")
