"""verdicts.md: every claim with its verdict, its figures and where they come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

from reproduction import figures, machine, records
from reproduction.claims.claim import Claim, verdict
from reproduction.comparison import Finding, Word
from reproduction.sweeps import command_of

PAGE = Path(__file__).parent / "verdicts.md"
_HEAD = """# What came of the claims

Written by `python -m reproduction judge` from the [records](README.md). *Agrees*, *disagrees*: the test
said beside it decides; *not decided*: it does not; *not run*: not all of its runs have ended. *Better* is
decided by a p-value below 5 %, *as good* by whether the 95 % interval of the difference lies above minus
the margin, or below it. These are levels of one statement: of twenty differences that are none, one is
"decided". A claim disagrees where one of its statements does, and agrees where all that were run do.

Accuracies are test accuracies in %, as mean ± standard deviation over n seeds; a run that diverged counts
as 10 %, chance. Differences have their 95 % confidence interval. [What was known when each rule was
written](README.md#what-was-known-when-each-rule-was-written).
"""


def write(claims: Iterable[Claim], page: Path = PAGE) -> None:
    """Judge all claims from the records, draw their figures, and write the page."""
    judged = [(claim, claim.findings()) for claim in claims]
    rows = [
        f"| [{claim.name.upper()}](#{claim.name}) | {claim.title} | {verdict(found)} | {_count(found)} |"
        for claim, found in judged
    ]
    summary = "\n".join(["| claim | | verdict | its statements |", "| --- | --- | --- | --- |", *rows])
    parts = [_HEAD, summary, *(_section(claim, found) for claim, found in judged)]
    page.write_text("\n\n".join(part.strip() for part in parts) + "\n")


def _count(found: list[Finding]) -> str:
    """How many statements came to each verdict."""
    words = Counter(finding.word for finding in found)
    return ", ".join(f"{word}: {words[word]}" for word in get_args(Word) if words[word])


def _section(claim: Claim, found: list[Finding]) -> str:
    run = [finding for finding in found if finding.word != "not run"]
    parts = [
        f'## <a id="{claim.name}"></a>{claim.name.upper()}: {claim.title}',
        f"From: {claim.source}. Verdict: **{verdict(found)}**.{' ' * bool(claim.note)}{claim.note}",
    ]
    if run:
        data = _data(claim)
        figures.save(claim, data)
        parts.append(
            f"![{claim.title}](figures/{claim.name}.png)\n\n{data}{'. ' * bool(data)}{claim.caption}"
        )
        rows = [f"| {each.statement} | {each.figures} | {each.test} | {each.word} |" for each in run]
        head = ["| statement | measured | test | verdict |", "| --- | --- | --- | --- |"]
        parts.append("\n".join([*head, *rows]))
    if claim.table and (told := claim.table()):
        parts.append(told)
    idle = [finding.statement for finding in found if finding.word == "not run"]
    if idle:
        items = "".join(f"<li>{statement}</li>\n" for statement in idle)
        count = f"{len(idle)} statement{'s' * (len(idle) > 1)}"
        parts.append(f"<details><summary>Not run: {count}</summary>\n<ul>\n{items}</ul>\n</details>")
    parts.append("\n".join(_origin(sweep) for sweep in claim.sweeps))
    return "\n\n".join(parts)


def _data(claim: Claim) -> str:
    """The data sets that the claim's runs are of."""
    told = [told for sweep in claim.sweeps if (told := records.machine(sweep)) is not None]
    return ", ".join(sorted({name for each in told for name in machine.data_sets(each)}))


def _origin(sweep: str) -> str:
    """Where a sweep's figures come from, as an item of a list."""
    told = records.machine(sweep)
    command = f"- `{command_of(sweep)}`"
    if told is None:
        return f"{command}: not run"
    file = next(
        path for name in ("results.csv", "bounds.json") if (path := records.KEPT / sweep / name).exists()
    )
    runs = records.runs(sweep)
    ended = len(runs.where(state="finished").rows)
    failed = len(runs.where(state="failed").rows)
    part = "" if ended == len(runs.rows) else f" of {ended} of {len(runs.rows)} runs"
    part += f" ({failed} failed)" if failed else ""
    return f"{command}: [records](records/{sweep}/{file.name}){part}; {machine.shown(told)}"
