"""What the judge makes of C1 to C3 by records that are made up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from record_helpers import noise, pretend, words

from reproduction.claims import c1, c2, c3, tried


def test_c1_compares_with_networks_of_at_least_as_many_bytes(kept: Path) -> None:
    def trained(options: dict[str, Any]) -> float:
        level = {0.25: 0.8, 0.125: 0.7, 0.0625: 0.5}[options["width"]]
        return noise(options) + level - (0 if options["lr"] == 0.03 else 0.2)

    pretend(kept, "a1-width-0.25", lambda options: 0.6 + noise(options))  # tickets of 25,000 bytes
    names = pretend(kept, "c1", trained)  # float32: 562,500, 140,625 and 35,156 bytes
    lines = [
        f'"{run.name}",{run.config.seed},{2_250_000 * run.config.width**2:.0f},0.7,0.55' for run in names
    ]
    (kept / "c1" / "int8.csv").write_text(
        "\n".join(["run,seed,int8_bytes,float32_accuracy,test_accuracy", *lines])
    )
    found = c1.findings()
    assert words(found, "width 0.25", "float32") == {"agrees"}  # 60 against 50 % in 35,156 bytes
    assert words(found, "width 0.25", "int8") == {"agrees"}  # 60 against 55 % in 35,156
    assert words(found, "width 0.5") == {"not run"}
    told = [each.test for each in found if each.test]
    assert told and all("with width 0.0625 and learning rate 0.03 in" in test for test in told)

    def tests_without(run: str, error: str) -> list[str]:
        pretend(kept, "c1", trained, without={run: error})
        return [each.test for each in c1.findings() if each.test]

    waiting = tests_without("lr=0.01,width=0.0625,seed=0", "")
    assert waiting and not any("width 0.0625" in test for test in waiting)
    without_disk = tests_without("lr=0.03,width=0.0625,seed=0", "No space left on device")
    assert without_disk == waiting  # the next call tries it again
    diverged = tests_without("lr=0.03,width=0.0625,seed=0", "the loss became nan in epoch 1")
    assert diverged and all("with width 0.0625 and learning rate 0.01 in" in test for test in diverged)


def test_c2_asks_for_a_better_ticket_of_no_more_bytes(kept: Path) -> None:
    def accuracy(options: dict[str, Any]) -> float:
        return (0.75 if options["method"] == "signed-supermask" else 0.8) + noise(options)

    pretend(kept, "a1-width-0.25", lambda options: 0.7 + noise(options))  # tickets of 25,000 bytes
    assert words(c2.findings()) == {"not run"}
    pretend(kept, "c2", accuracy)
    assert words(c2.findings(), "as in the paper") == {"agrees"}
    assert words(c2.findings(), "signed", "supermasks' scores") == {"disagrees"}
    pretend(kept, "c2", accuracy, nbytes=400_100)  # 25,006
    assert words(c2.findings(), "as in the paper") == {"not decided"}
    assert words(c2.findings(), "signed", "supermasks' scores") == {"disagrees"}  # worse, and larger


def test_c2_is_decided_by_other_seeds_and_the_best_learning_rate(kept: Path) -> None:
    def accuracy(options: dict[str, Any]) -> float:
        seed = noise({"seed": options["seed"] % 3})
        if options["method"] == "signed-supermask":
            return seed + 0.7
        if options["method"] == "edge-popup":
            return seed + 0.55
        return seed + (0.6 if options["seed"] < 3 else 0.8 if options["lr"] == 1.0 else 0.5)

    pretend(kept, "c2", accuracy)
    assert words(c2.findings(), "signed", "supermasks' scores") == {"agrees"}
    (waits, *_) = (run.name for run in pretend(kept, "c2-seeds", accuracy) if "lr=1.0" in run.name)
    assert words(c2.findings(), "signed", "supermasks' scores") == {"disagrees"}
    assert "(n = 9) against 80.00" in c2.findings()[1].figures
    assert words(c2.findings(), "magnitude of the score") == {"disagrees"}
    pretend(kept, "c2-seeds", accuracy, without={waits: ""})
    assert words(c2.findings(), "signed", "supermasks' scores") == {"agrees"}
    pretend(kept, "c2-seeds", accuracy, without={waits: "the loss became nan in epoch 1"})
    assert "(n = 9) against 50.00" in c2.findings()[1].figures  # that rate is not taken
    assert words(c2.findings(), "magnitude of the score") == {"agrees"}


def test_what_was_tried_before_c2_is_told_once_all_of_it_has_ended(kept: Path) -> None:
    def accuracy(options: dict[str, Any]) -> float:
        return 0.5 + 0.1 * options["lr"] if options["scope"] == "global" else 0.5

    assert tried.table() == ""
    waits = "anneal=5,density=0.5,lr=1.0,method=iterand,period=21,seed=0"
    runs = pretend(kept, tried.SWEEP, accuracy, without={waits: ""})
    assert tried.table() == ""
    pretend(kept, tried.SWEEP, accuracy, without={waits: "the loss became nan in epoch 1"})
    rows = tried.table().splitlines()[5:]
    assert len(rows) == len(set(rows)) == len(runs)
    assert {row.count("|") for row in rows} == {6}
    assert "| IteRand, one threshold for all layers | 0.5 | 1 | 60.0 | 25,000 |" in rows
    assert "| IteRand, annealed from density 1 in 5 steps | 0.5 | 1 | diverged |  |" in rows


def test_c3_takes_the_best_ticket_that_is_small_enough(kept: Path) -> None:
    def accuracy(options: dict[str, Any]) -> float:
        return noise(options) + {0.85: 0.9, 0.9: 0.95, 0.95: 0.99}.get(options["density"], 0.8)

    pretend(kept, c3.TRAINED, lambda options: 0.955 + noise(options))
    assert words(c3.findings()) == {"not run"}
    runs = pretend(kept, c3.TICKETS, accuracy, nbytes=c3.MOST_BYTES)
    assert words(c3.findings(), "(signed-supermask, 0.95, ") == {"agrees"}
    table = kept / c3.TICKETS / "results.csv"
    rows = table.read_text().splitlines()
    larger = [row.replace("2000000", "2000001") if "density=0.95" in row else row for row in rows]
    table.write_text("\n".join(larger))
    assert words(c3.findings(), "(signed-supermask, 0.9, ") == {"agrees"}  # 95 against 95.5 %
    pretend(kept, c3.TICKETS, accuracy, nbytes=c3.MOST_BYTES, without={runs[0].name: ""})
    assert words(c3.findings()) == {"not run"}
    pretend(kept, c3.TICKETS, accuracy, nbytes=c3.MOST_BYTES + 1)
    assert words(c3.findings()) == {"not run"}  # none is
