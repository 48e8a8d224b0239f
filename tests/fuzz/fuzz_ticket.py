"""Fuzz the reader of tickets for as long as you like: coverage-guided, half of the inputs resealed.

    pip install 'tombola[fuzz]'
    python tests/fuzz/fuzz_ticket.py SECONDS [options of libFuzzer]

Starts from tests/golden. Stops with a traceback, and the input in a file, at the first one that lets
anything but TicketError out, takes longer than a second or more memory than is promised. Ends with what
it has seen.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["tombola"]):
    from mutations import Parts, is_sealed, resealed
    from opening import Tally, open_ticket

    import tombola.ticket.anatomy
    import tombola.ticket.ticket  # noqa: F401

GOLDEN = Path(__file__).parent.parent / "golden"
FILES = [path.read_bytes() for path in sorted(GOLDEN.glob("*.tombola"))]
MAX_SIZE = 1 << 16

tally = Tally()
end = time.monotonic() + float(sys.argv[1])
folder = tempfile.TemporaryDirectory()


def mutator(data: bytes, max_size: int, seed: int) -> bytes:
    """Every second input is changed behind its checksum."""
    choice = random.Random(seed).randrange(1 << 16)
    if choice % 2:
        whole = data if Parts.of(data) else FILES[choice % len(FILES)]
        changed = resealed(whole, choice // 2, lambda part: atheris.Mutate(part, max(len(part) + 16, 32)))
        return changed if len(changed) <= max_size else data
    return bytes(atheris.Mutate(data, max_size))


def test_one_input(data: bytes) -> None:
    """One file, opened; the last one once the time is up."""
    tally.sealed += is_sealed(data)
    open_ticket(data, Path(folder.name) / "t.tombola", tally)
    if time.monotonic() > end:
        summary()
        folder.cleanup()
        os._exit(0)  # libFuzzer would not let Python end by itself


def summary() -> None:
    """What was seen."""
    share = tally.sealed / tally.inputs
    print(
        f"\n{tally.inputs:,} inputs, {tally.sealed:,} of them sealed ({share:.0%}); "
        f"{tally.opened:,} could be opened; slowest {tally.slowest:.2f} s; "
        f"at most {tally.memory_used:.0%} of the memory that is promised; nothing escaped"
    )
    for kind, number in sorted(tally.refusals.items(), key=lambda item: -item[1]):
        print(f"{number:10,}  {kind}", flush=True)


def main() -> None:
    """Start from copies of the golden tickets, for new inputs are added to the corpus."""
    corpus = Path(folder.name) / "corpus"
    corpus.mkdir()
    for number, data in enumerate(FILES):
        (corpus / str(number)).write_bytes(data)
    tracemalloc.start()
    limits = [f"-max_len={MAX_SIZE}", "-timeout=1", "-rss_limit_mb=1024"]
    arguments = [sys.argv[0], *limits, *sys.argv[2:], str(corpus)]
    atheris.Setup(arguments, test_one_input, custom_mutator=mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
