"""What the command `bounds` prints of the theorems and the trials, as tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tombola.cli_output import new_table, print_table

_WIDTHS = (
    *("layer", "neurons", "tolerance", "2L", "2L, ER", "L+1", "L+1, ER"),
    *("redraw, dense", "redraws", "least"),
)


def print_bounds(record: Mapping[str, Any]) -> None:
    """The widths, and what was measured if anything was, as `experiments.theory_bounds` gives them."""
    one = record["subset_sum"]
    _table(
        f"Widths for an error of {record['error']:g} but for a probability of {record['delta']:g}, "
        f"C = {record['constant']:.3g}, dense and in a source of density {record['density']:g}",
        _WIDTHS,
        [_width_cells(number, row) for number, row in enumerate(record["widths"])],
    )
    _table(
        "Candidates of one subset sum", ("tolerance", "theorem", "practical"), [[_g(v) for v in one.values()]]
    )
    if "measured" in record:
        _print_measured(record["measured"])


def _width_cells(number: int, row: Mapping[str, Any]) -> list[str]:
    two, one = ("two_layers", "one_extra_layer")
    counts = [row[name] for name in (f"{two}_dense", two, f"{one}_dense", one, "redraw_dense")]
    cells = [f"{count:,}" for count in counts]
    redraws = f"{row['redraws']:.3g}"
    return [str(number), f"{row['neurons']:,}", _g(row["tolerance"]), *cells, redraws, f"{row['least']:,}"]


def _print_measured(measured: Mapping[str, Any]) -> None:
    title = (
        f"Candidates for {measured['success']:.0%} success at tolerance {measured['tolerance']:g}, "
        f"{measured['trials']:,} trials, and the laws fitted over p < 1"
    )
    laws = {fit["law"]: fit for fit in reversed(measured["laws"])}  # the wider range comes first
    rows = []
    for row in measured["candidates"]:
        value, *ends = ("-" if end is None else str(end) for end in row["candidates"])
        rows.append([_g(row["density"]), value, " … ".join(ends), *_fitted(laws, row)])
    _table(title, ("density", "candidates", "interval", *laws), rows)
    fits = []
    for fit in measured["laws"]:
        over = f"{min(fit['densities']):g} … {max(fit['densities']):g}"
        holds = ", ".join(f"{density:g}" for density in fit["holds"]) or "nowhere"
        fits.append([fit["law"], over, _interval(fit["scale"]), holds])
    _table("Laws of the width", ("law", "fitted over p", "scale", "within a tenth at p ="), fits)
    slopes = [[_g(row["density"]), _interval(row["slope"]), _g(row["theory"])] for row in measured["errors"]]
    _table("Slope of log error, per candidate", ("density", "measured", "theory"), slopes)
    redraws = measured["redraws"]
    rows = []
    for row in redraws["rows"]:
        most = f"{4 / row['tolerance']:,.0f}"
        rows.append([_g(row["tolerance"]), _interval(row["redraws"]), _interval(row["greatest"]), most])
    rows.append(["slope", _interval(redraws["slope"]), _interval(redraws["slope_greatest"]), "-1"])
    _table("Redraws of a weight", ("tolerance", "any weight", "the greatest", "at most, theory"), rows)


def _fitted(laws: Mapping[str, Mapping[str, Any]], row: Mapping[str, Any]) -> list[str]:
    """What each law, as fitted, says of a density; nothing where it took no part in the fit."""
    cells = []
    for fit in laws.values():
        told = dict(zip(fit["densities"], fit["fitted"], strict=True))
        cells.append(f"{told[row['density']]:.1f}" if row["density"] in told else "")
    return cells


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = new_table(title)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    print_table(table)


def _interval(ends: Sequence[float]) -> str:
    value, low, high = ends
    return f"{value:.4g} ({low:.4g} … {high:.4g})"


def _g(value: float) -> str:
    return f"{value:.3g}"
