"""A4: the error falls with redraws at constant width, where pruning alone needs logarithmic width."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reproduction.claims.claim import Claim
from reproduction.comparison import Finding, Word
from reproduction.theory import NAME, measured

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FAR = 0.1  # how far a slope may be from the theory's, as a part of it


def near(low: float, high: float, theory: float) -> Word:
    """Whether an interval lies within a tenth of the theory's slope, or wholly elsewhere."""
    least, most = sorted((theory * (1 - _FAR), theory * (1 + _FAR)))
    if least <= low and high <= most:
        return "agrees"
    return "disagrees" if high < least or low > most else "not decided"


def findings() -> list[Finding]:
    """The slopes of both laws, with their intervals."""
    told = measured()
    if told is None:
        return [Finding("Redraws at constant width, candidates without redraws", "", "", "not run")]
    found = []
    for key, weights in (("slope", "any weight"), ("slope_greatest", "the greatest weight")):
        slope, low, high = told["redraws"][key]
        found.append(
            Finding(
                f"At constant width redraws grow as 1/error ({weights})",
                f"log-log slope {slope:.3f}, theory -1",
                f"95 % interval {low:.3f} … {high:.3f}, within a tenth of the theory's or not",
                near(low, high, -1.0),
            )
        )
    for row in told["errors"]:
        slope, low, high = row["slope"]
        found.append(
            Finding(
                f"Without redraws the error falls exponentially with the width (p = {row['density']:g})",
                f"slope of its logarithm {slope:.4f} for each candidate, theory {row['theory']:.4f}",
                f"95 % interval {low:.4f} … {high:.4f}, within a tenth of the theory's or not",
                near(low, high, row["theory"]),
            )
        )
    return found


def draw(figure: Figure) -> None:
    """Errors against candidates, and redraws against errors."""
    from tombola.report.bounds import draw_errors, draw_redraws

    told = measured()
    assert told is not None
    errors, redraws = figure.subplots(1, 2)
    draw_errors(errors, told)
    draw_redraws(redraws, told["redraws"])


CLAIM = Claim(
    name="a4",
    title="The error falls with redraws at constant width, where pruning alone needs logarithmic width",
    source="Chijiwa et al., NeurIPS 2021, section 3; Pensia et al., NeurIPS 2020",
    sweeps=(NAME,),
    findings=findings,
    draw=draw,
    caption="Bars: 95 % confidence.",
)
