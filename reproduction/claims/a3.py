"""A3: with redraws narrower networks suffice."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from reproduction.claims.claim import Claim
from reproduction.claims.widths import METHODS, SWEEPS, Network, all_run_widths, settings
from reproduction.comparison import LEVEL, Contrast, Finding, Word, contrast, spread, word_of
from reproduction.figures import name_axes, on_log_scale, points

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS = 100
"""Widths that are looked at between one that was run and the next."""


def findings() -> list[Finding]:
    """The width at which IteRand equals edge-popup at the widest of at most 1."""
    return [_equal(network, init) for network, init in settings()]


def _equal(network: Network, init: str) -> Finding:
    """By a line through IteRand's means over the logarithm of the width. Agrees where IteRand is better at a
    width that was run, for then a narrower one equals edge-popup, and disagrees where it is worse at all.
    """
    widths = [width for width in network.widths if width <= 1]
    widest = widths[-1]
    reached = network.accuracies("edge-popup", init, widest)
    iterand = {width: network.accuracies("iterand", init, width) for width in widths}
    statement = (
        f"{network.title}, {init}: with IteRand a narrower network equals edge-popup's of width {widest:g}"
    )
    figures = ", ".join(f"{spread(each)} at {width:g}" for width, each in iterand.items())
    figures = f"IteRand {figures}; edge-popup {spread(reached)} at {widest:g}"
    if min(map(len, [reached, *iterand.values()])) < 2:
        return Finding(statement, "", "", "not run")
    at = {width: contrast((1, each), (-1, reached)) for width, each in iterand.items()}
    along = [
        (
            narrow * (wide / narrow) ** (step / STEPS),
            contrast((1 - step / STEPS, iterand[narrow]), (step / STEPS, iterand[wide]), (-1, reached)),
        )
        for narrow, wide in pairwise(widths)
        for step in range(STEPS + 1)
    ]
    words = {word_of(found) for found in at.values()}
    word: Word = "agrees" if "agrees" in words else "disagrees" if words == {"disagrees"} else "not decided"
    test = f"Welch–Satterthwaite along the line: {_where(along)}; at {widest:g} {at[widest]}"
    return Finding(statement, figures, test, word)


def _where(along: list[tuple[float, Contrast]]) -> str:
    """Where the line first crosses edge-popup's accuracy, and the widths around at which the two are not told
    apart.
    """
    last = len(along) - 1
    crossed = next((place for place, (_, found) in enumerate(along) if found.estimate >= 0), None)
    low = high = last if crossed is None else crossed
    while low and along[low - 1][1].p >= LEVEL:
        low -= 1
    while high < last and along[high + 1][1].p >= LEVEL:
        high += 1

    def shown(place: int) -> str:
        width = f"{along[place][0]:.2g}"
        return f"below {width}" if place == 0 else f"beyond {width}" if place == last else width

    equal = f"equal {'' if crossed is None or crossed in (0, last) else 'at '}"
    equal += shown(last if crossed is None else crossed)
    return (
        equal
        if along[last if crossed is None else crossed][1].p < LEVEL
        else f"{equal} ({shown(low)} … {shown(high)})"
    )


def draw(figure: Figure) -> None:
    """Accuracy of both methods against the width."""
    axes = figure.subplots()
    for number, (network, init) in enumerate(settings()):
        widths = network.run_widths()
        for method, title in METHODS.items():
            values = [network.accuracies(method, init, width) for width in widths]
            label = f"{title}, {network.title}, {init}"
            points(axes, widths, values, label, f"C{number}", "-" if method == "iterand" else ":")
    on_log_scale(axes, all_run_widths())
    name_axes(axes, "width")


CLAIM = Claim(
    name="a3",
    title="With redraws narrower networks suffice",
    source="Chijiwa et al., NeurIPS 2021",
    sweeps=SWEEPS,
    findings=findings,
    draw=draw,
    note=(
        "Wanted is the width at which IteRand equals edge-popup at the widest, on a line between the widths "
        "that were run; where accuracy bends downwards over them, that is more than it takes. That it is a "
        "narrower one is decided by IteRand's gain at a width that was run; how much narrower, the interval "
        "tells."
    ),
    caption="Bars: standard deviation over seeds.",
)
