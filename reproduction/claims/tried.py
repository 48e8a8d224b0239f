"""What was tried on the way to C2: one short search of each setting, as a table."""

from __future__ import annotations

from reproduction.records import runs

SWEEP = "c2-tried"
_METHODS = {"iterand": "IteRand", "edge-popup": "edge-popup", "signed-supermask": "signed supermask"}
_OPTIONS = {
    ("score_init", "kaiming_uniform"): "scores as in the paper",
    ("scope", "global"): "one threshold for all layers",
    ("fan_scaling", "true"): "fan scaling",
    ("absolute", "true"): "ranked by the magnitude of the score",
    ("anneal", "5"): "annealed from density 1 in 5 steps",
}
_HEAD = """What was tried before, one search each over 8 epochs, seed 0, with its accuracy on images held out
of training:

| search | density | learning rate | accuracy, % | bytes |
| --- | --- | --- | --- | --- |
"""


def table() -> str:
    """Every setting, in the order of the sweep; empty before all of them have ended."""
    there = runs(SWEEP)
    if not there.ended:
        return ""
    return _HEAD + "\n".join(f"| {' | '.join(_cells(row))} |" for row in there.rows)


def _cells(row: dict[str, str]) -> tuple[str, ...]:
    special = [words for (option, value), words in _OPTIONS.items() if row.get(option, "").lower() == value]
    name = ", ".join([_METHODS[row["method"]], *special])
    density, lr = (f"{float(row[option]):g}" for option in ("density", "lr"))
    if row["state"] == "failed":
        return name, density, lr, "diverged", ""
    return (
        name,
        density,
        lr,
        f"{100 * float(row['validation_accuracy']):.1f}",
        f"{int(row['ticket_bytes']):,}",
    )
