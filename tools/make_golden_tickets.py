"""Write tests/golden/*.tombola and their digests: tickets that must load for ever.

Files that exist stay as they are: a golden ticket is made once, by the version that introduced what it
holds.

    python tools/make_golden_tickets.py tests/golden
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from torch import nn

import tombola

METHODS = {
    "edge-popup": (tombola.EdgePopup, {}),
    "iterand": (tombola.IteRand, {"period": 1, "rate": 0.3}),
    "signed-supermask": (tombola.SignedSupermask, {}),
}
# Every option that a recipe records is in one of them at least.
SOURCES = {
    "signed_constant": {"density": 0.8, "fan_density": 0.5},
    "kaiming_uniform": {"density": 0.7},
    "kaiming_normal": {"fan_density": 0.3, "fixed": {"1.weight": 0.75}},
    "uniform": {"bias": True},
    "kaiming_uniform-exact": {"density": 0.6, "rule": "erk", "exact": True},
}


def network() -> nn.Module:
    """A convolution, a transposed one, batch normalisation and a linear layer."""
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.ConvTranspose2d(6, 3, 2, stride=2),
        nn.Flatten(),
        nn.Linear(3 * 64, 5),
    )


def make(kind: str, method: str) -> tombola.Ticket:
    """A ticket in one of `SOURCES`, after a few steps on noise: scores, redraws and statistics are then not
    the first ones.
    """
    generator = torch.Generator().manual_seed(0)
    model = network()
    source = tombola.Source(model, seed=2**64 - 1, init=kind.partition("-")[0], **SOURCES[kind])
    search_class, options = METHODS[method]
    search = search_class(source, density=0.4, **options)
    optimizer = torch.optim.SGD(search.parameters(), lr=0.5, momentum=0.9)
    for _ in range(6):
        optimizer.zero_grad()
        inputs = torch.randn(16, 2, 6, 6, generator=generator)
        labels = torch.randint(5, (16,), generator=generator)
        nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
        search.step()
    return search.ticket({"method": method, "note": "für immer \N{BLACK SPADE SUIT} \U0001f39f"})


def main(folder: Path) -> None:
    """Add the files that are missing."""
    digests = json.loads((folder / "digests.json").read_text()) if (folder / "digests.json").exists() else {}
    for kind in SOURCES:
        for method in METHODS:
            name = f"{kind}-{method}.tombola"
            if name not in digests:
                ticket = make(kind, method)
                ticket.save(folder / name)
                digests[name] = ticket.digest
    (folder / "digests.json").write_text(json.dumps(digests, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
