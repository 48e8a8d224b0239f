"""How close a ticket comes to the entropy of what it says, and what others would take.

Claim: within 0.5 % and 2 KiB of the empirical entropy of mask and redraws, header and all (the column
"-1.005H", in bytes, is at most 2048).

Prints, for a linear layer of a million weights, the whole ticket file over that entropy; and for the mask
alone packed bits, and these compressed by zstd at level 19, over the mask's entropy. Masks are those of
scores drawn at random: no coder can do better than their entropy. The last line has a network that
edge-popup found on handwritten digits, whose rows and columns are not alike: there zstd could win.

    python benchmarks/ticket_size.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import zstandard
from _machine import print_machine, run
from torch import nn

import tombola
from tombola.rng import Stream
from tombola.ticket.anatomy import anatomy

ROWS, COLUMNS = 1000, 1000
DENSITIES = (0.9, 0.5, 0.3, 0.1, 0.05, 0.01)
GENERATIONS = 130


def redrawn() -> np.ndarray:
    """Generations as a search with 130 redraws may leave them: the older, the more."""
    words = Stream(0, "generations", "benchmark").words(ROWS * COLUMNS)
    ages = np.floor(np.log2(words.astype(np.float64) + 1) * 8)  # a geometric law
    numbers: np.ndarray = GENERATIONS - np.minimum(256 - ages, GENERATIONS)
    return numbers.astype(np.int32).reshape(ROWS, COLUMNS)


def ticket(
    density: float, init: str, source_density: float = 1.0, generations: np.ndarray | None = None
) -> tombola.Ticket:
    """One linear layer's ticket."""
    model = nn.Sequential(nn.Linear(COLUMNS, ROWS, bias=False))
    source = tombola.Source(model, init=init, density=source_density)
    mask = tombola.EdgePopup(source, density).mask
    return tombola.Ticket.from_mask(source, mask, {} if generations is None else {"0.weight": generations})


def zstd(mask: np.ndarray) -> tuple[int, int]:
    """Bytes of a mask as packed bits, and of these compressed."""
    packed = np.packbits(mask).tobytes()
    return len(packed), len(zstandard.ZstdCompressor(level=19).compress(packed))


def compare(name: str, made: tombola.Ticket) -> None:
    """A line: the file over its entropy, and the mask in other ways over its own."""
    layers = anatomy(made)
    mask_entropy = sum(layer.mask_bits for layer in layers) / 8
    entropy = mask_entropy + sum(layer.redraw_bits for layer in layers) / 8
    statistics = sum(values.nbytes for values in made.statistics.values())
    over = made.nbytes - statistics - 1.005 * entropy
    packed, compressed = (sum(sizes) for sizes in zip(*map(zstd, made.mask.values()), strict=True))
    print(
        f"{name:34} {made.nbytes:9,} {made.bits_per_weight:7.4f} {made.nbytes / entropy:8.4f} {over:+9.0f} "
        f"{packed / mask_entropy:12.3f} {compressed / mask_entropy:9.3f}"
    )


def main() -> None:
    """Every case, and the mask of a search."""
    print_machine()
    print(f"{'':34} {'bytes':>9} {'bits/w':>7} {'÷entropy':>8} {'-1.005H':>9}   packed ÷ H  zstd ÷ H")
    for density in DENSITIES:
        compare(f"edge-popup, density {density}", ticket(density, "kaiming_uniform"))
    for density in DENSITIES:
        compare(
            f"130 generations, density {density}", ticket(density, "kaiming_uniform", generations=redrawn())
        )
    for density in DENSITIES:
        compare(f"sign flips, density {density}", ticket(density, "signed_constant", generations=redrawn()))
    for density in (0.3, 0.1, 0.01):
        compare(
            f"in a source of 0.5, density {density}", ticket(density, "kaiming_uniform", source_density=0.5)
        )
    with tempfile.TemporaryDirectory() as folder:
        run("search", "--method", "edge-popup", "--out", folder)
        compare("found on digits, density 0.5", tombola.Ticket.load(Path(folder) / "ticket.tombola"))


if __name__ == "__main__":
    main()
