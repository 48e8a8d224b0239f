"""B4: what sparsity of the source costs in width: 1/log(1/(1-p)), or 1/p."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from reproduction.claims.claim import Claim
from reproduction.comparison import Finding, Word
from reproduction.theory import NAME, measured

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FAR = 0.1  # how far a fitted law may be from what was measured, as a part of it


def findings() -> list[Finding]:
    """The theorem's law, fitted to the candidates that subset sums need, beside 1/p: over all p < 1, and over
    p of at most 0.3.
    """
    told = measured()
    if told is None:
        return [Finding("Candidates of a subset sum against the density of the source", "", "", "not run")]
    found = []
    for law in told["laws"]:
        if "log" not in law["law"]:
            continue
        (rival,) = (
            each for each in told["laws"] if each["densities"] == law["densities"] and each is not law
        )
        worst, rivals = _farthest(law), _farthest(rival)
        least, most = min(law["densities"]), max(law["densities"])
        word: Word = "agrees" if worst[0] <= _FAR else "disagrees"
        scale, low, high = law["scale"]
        found.append(
            Finding(
                f"Over p of {least:g} … {most:g} the width grows as {law['law']}",
                f"fitted factor {scale:.1f} ({low:.1f} … {high:.1f}); farthest from what was measured: "
                f"{worst[0]:.0%}, at p = {worst[1]:g} ({rival['law']}, fitted alike: {rivals[0]:.0%})",
                f"by at most {_FAR:.0%} or not",
                word,
            )
        )
    return found


def _farthest(law: dict[str, Any]) -> tuple[float, float]:
    """How far a fitted law is from what was measured at most, as a part of that, and at which density."""
    parts = [abs(math.expm1(-off)) for off in law["off"]]  # of log(measured / fitted)
    return max(zip(parts, law["densities"], strict=True))


def draw(figure: Figure) -> None:
    """The factor on the width against the sparsity."""
    from tombola.report.bounds import draw_widths

    told = measured()
    assert told is not None
    axes = figure.subplots()
    draw_widths(axes, told)


CLAIM = Claim(
    name="b4",
    title="The width that a source of density p needs goes as 1/log(1/(1-p))",
    source="Gadhikar et al., ICML 2023, theorems 2.4 and 2.5",
    sweeps=(NAME,),
    findings=findings,
    draw=draw,
    caption="Widths relative to a dense source's, beside the laws as they are; the table has them fitted. "
    "Bars: 95 % confidence.",
    note=(
        "The theorems bound the width by this law times a constant. Judged is whether the width that subset "
        "sums need goes as the law, with a constant fitted over p < 1; as p goes to 1 the law goes to 0, "
        "which no width does. A brute force of a few lines needs as many candidates "
        "(`tests/reproduction/test_b4_by_brute_force.py`)."
    ),
)
