"""B4: what sparsity of the source costs in width: 1/log(1/(1-p)), or 1/p."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reproduction.claims.claim import Claim
from reproduction.comparison import Finding, Word
from reproduction.theory import NAME, measured

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FAR = 0.1  # how far a fitted law may be from what was measured, as a part of it


def findings() -> list[Finding]:
    """Both laws fitted to the candidates that subset sums need, over all p < 1 and over p of at most 0.3."""
    told = measured()
    if told is None:
        return [Finding("Candidates of a subset sum against the density of the source", "", "", "not run")]
    found = []
    for law in told["laws"]:
        worst = max(zip(map(abs, law["off"]), law["densities"], strict=True))
        word: Word = "agrees" if worst[0] <= _FAR else "disagrees"
        whose = "the theorem's" if "log" in law["law"] else "a first measurement's"
        scale, low, high = law["scale"]
        found.append(
            Finding(
                f"Over p of {min(law['densities']):g} … {max(law['densities']):g} the width grows as "
                f"{law['law']}, {whose}",
                f"fitted factor {scale:.1f} ({low:.1f} … {high:.1f})",
                f"farthest from what was measured: {worst[0]:.0%}, at p = {worst[1]:g} (may be {_FAR:.0%})",
                word,
            )
        )
    return found


def draw(figure: Figure) -> None:
    """The factor on the width against the sparsity."""
    from tombola.report.bounds import draw_widths

    told = measured()
    assert told is not None
    axes = figure.subplots()
    draw_widths(axes, told)
    axes.legend(fontsize=9)


CLAIM = Claim(
    name="b4",
    title="A source of density p needs a width 1/log(1/(1-p)) times that of a dense one",
    source="Gadhikar et al., ICML 2023, theorems 2.4 and 2.5",
    sweeps=(NAME,),
    findings=findings,
    draw=draw,
    caption="Bars: 95 % confidence.",
    note=(
        "The theorem says that an order of width is enough, and it is; what is judged is whether the width "
        "that subset sums need goes as that order, relative to a dense source. A brute force of a few lines "
        "needs as many candidates (`tests/reproduction/test_b4_by_brute_force.py`)."
    ),
)
