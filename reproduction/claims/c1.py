"""C1, ours: a ticket answers better than a trained network that takes as many bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from reproduction import int8
from reproduction.claims import c2
from reproduction.claims.claim import Claim
from reproduction.claims.widths import INITS, METHODS, NETWORKS
from reproduction.comparison import Finding, Word, greater, spread
from reproduction.figures import name_axes, points
from reproduction.records import Rows, best, runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SWEEP = "c1"
WIDTHS = (0.25, 0.125, 0.0625)
LEARNING_RATES = (0.01, 0.03, 0.1)


@dataclass(frozen=True)
class Size:
    """Networks of one kind and width: their mean bytes, their test accuracies in %, by seed, and the learning
    rate that was chosen for them where there were several.
    """

    width: float
    nbytes: float
    accuracies: list[float]
    lr: float | None = None

    def __str__(self) -> str:
        chosen = "" if self.lr is None else f" and learning rate {self.lr:g}"
        return f"{spread(self.accuracies)} with width {self.width:g}{chosen} in {self.nbytes:,.0f} bytes"


def trained() -> dict[str, list[Size]]:
    """Trained networks of every width, as float32 and in 8 bits, smallest first, each with its best learning
    rate.
    """
    found: dict[str, list[Size]] = {"float32": [], "int8": []}
    for width in sorted(WIDTHS):
        rates = {rate: runs(SWEEP).where(width=width, lr=rate) for rate in LEARNING_RATES}
        if (lr := best(rates)) is None:
            continue
        chosen = rates[lr]
        found["float32"].append(Size(width, fmean(chosen.values("model_bytes")), chosen.accuracies(), lr))
        names = {row["run"] for row in chosen.rows}
        small = Rows(tuple(row for row in int8.rows(SWEEP).rows if row["run"] in names))
        if len(small.rows) == len(chosen.rows):
            found["int8"].append(Size(width, fmean(small.values("int8_bytes")), small.accuracies(), lr))
    return found


def tickets() -> Iterator[tuple[str, str, Size]]:
    """Method, distribution and size of the tickets of Conv-6 that were found."""
    network = NETWORKS[0]
    for method in METHODS:
        for init in INITS:
            for width in network.run_widths():
                there = network.runs().where(method=method, init=init, width=width)
                if there.ended and there.begun:
                    size = Size(width, fmean(there.values("ticket_bytes")), there.accuracies())
                    yield method, init, size


def findings() -> list[Finding]:
    """Each ticket of IteRand against the trained networks next to it in bytes, of each kind."""
    sizes = {(init, size.width): size for method, init, size in tickets() if method == "iterand"}
    return [
        _beside(
            f"IteRand, {init}, width {width:g}, is better than {kind} of as many bytes",
            sizes.get((init, width)),
            networks,
        )
        for init in INITS
        for width in NETWORKS[0].widths
        for kind, networks in trained().items()
    ]


def _beside(claim: str, ticket: Size | None, networks: list[Size]) -> Finding:
    """Agrees where the ticket is better than the smallest network of no fewer bytes, disagrees where it is
    worse than the largest of no more, and decides nothing between the two.
    """
    if ticket is None or not networks:
        return Finding(claim, "", "", "not run")
    word: Word = "not decided"
    tests = []
    for other in [network for network in networks if network.nbytes >= ticket.nbytes][:1]:
        above = greater("", ticket.accuracies, other.accuracies)
        tests.append(f"{above.test} against {other}")
        word = "agrees" if above.word == "agrees" else word
    for other in [network for network in networks if network.nbytes <= ticket.nbytes][-1:]:
        below = greater("", ticket.accuracies, other.accuracies)
        tests.append(f"{below.test} against {other}")
        word = "disagrees" if below.word == "disagrees" else word
    return Finding(claim, str(ticket), "; ".join(tests), word)


def draw(figure: Figure) -> None:
    """Accuracy against bytes."""
    axes = figure.subplots()

    def line(sizes: list[Size], label: str, colour: str, style: str, marker: str = "o") -> None:
        nbytes, accuracies = [size.nbytes for size in sizes], [size.accuracies for size in sizes]
        points(axes, nbytes, accuracies, label, colour, style, marker)

    for number, (kind, networks) in enumerate(trained().items()):
        line(networks, f"trained, {kind}", f"C{number + 2}", "-")
    found = list(tickets())
    for method, title in METHODS.items():
        for init in INITS:
            sizes = [size for *of, size in found if of == [method, init]]
            colour = "C0" if method == "iterand" else "C1"
            style, marker = ("-", "o") if init == INITS[0] else ("--", "s")
            line(sizes, f"ticket, {title}, {init}", colour, style, marker)
    if (signed := c2.supermasks()).accuracies():
        size = Size(0.25, fmean(signed.values("ticket_bytes")), signed.accuracies())
        line([size], f"ticket, {c2.SIGNED}", "C4", "none")
    axes.set_xscale("log")
    name_axes(axes, "bytes of the file")


CLAIM = Claim(
    name="c1",
    title="A ticket answers better than a trained network of as many bytes",
    source="ours",
    sweeps=(SWEEP, *NETWORKS[0].sweeps, c2.SWEEP),
    findings=findings,
    draw=draw,
    caption="Conv-6 of several widths, 30 epochs, trained in float32, tickets found in bfloat16; bars: "
    "standard deviation over seeds. Signed supermasks are drawn without being judged here.",
)
