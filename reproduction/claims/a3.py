"""A3: with redraws narrower networks suffice."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from reproduction.claims.claim import Claim
from reproduction.claims.widths import METHODS, SWEEPS, Network, all_run_widths, settings
from reproduction.comparison import LEVEL, Contrast, Finding, contrast, spread, word_of
from reproduction.figures import on_log_scale, points

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS = 100
"""Widths that are looked at between one that was run and the next."""


def findings() -> list[Finding]:
    """The width at which IteRand equals edge-popup at the widest of at most 1."""
    return [_equal(network, init) for network, init in settings()]


def _equal(network: Network, init: str) -> Finding:
    """By a line through IteRand's means over the logarithm of the width. Agrees where IteRand is better at
    the widest, for then a narrower one equals edge-popup there, and disagrees where it is worse.
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
    along = {
        narrow * (wide / narrow) ** (step / STEPS): contrast(
            (1 - step / STEPS, iterand[narrow]), (step / STEPS, iterand[wide]), (-1, reached)
        )
        for narrow, wide in pairwise(widths)
        for step in range(STEPS + 1)
    }
    test = f"Welch–Satterthwaite along the line: {_where(along)}; at {widest:g} {along[widest]}"
    return Finding(statement, figures, test, word_of(along[widest]))


def _where(along: dict[float, Contrast]) -> str:
    """Where the line crosses edge-popup's accuracy, and the widths at which the two are not told apart."""
    least, most = min(along), max(along)
    crossed = [width for width, found in along.items() if found.estimate >= 0]
    same = [width for width, found in along.items() if found.p >= LEVEL]
    if not crossed:
        equal = f"equal beyond {most:g}"
    else:
        equal = f"equal at {min(crossed):.2g}" if min(crossed) > least else f"equal below {least:g}"
    if not same:
        return equal
    low = f"{min(same):.2g}" if min(same) > least else f"below {least:g}"
    high = f"{max(same):.2g}" if max(same) < most else f"beyond {most:g}"
    return f"{equal} ({low} … {high})"


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
    axes.set_xlabel("width")
    axes.set_ylabel("test accuracy, %")


CLAIM = Claim(
    name="a3",
    title="With redraws narrower networks suffice",
    source="Chijiwa et al., NeurIPS 2021",
    sweeps=SWEEPS,
    findings=findings,
    draw=draw,
    note=(
        "Wanted is the width at which IteRand equals edge-popup at the widest, on a line between the widths "
        "that were run. That it is a narrower one is decided by IteRand's gain at the widest, as in A1; how "
        "much narrower, the interval tells."
    ),
    caption="Bars: standard deviation over seeds.",
)
