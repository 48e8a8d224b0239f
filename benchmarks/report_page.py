"""Claim: the report of 1,000 runs can be used within 3 seconds of being opened.

One short search is made, its records are copied to 1,000 runs of 30 epochs in groups of five seeds, and
`tombola report --out` makes their page. Chromium opens it ROUNDS times, in turns with the page of one run.
Printed are medians of the seconds from the start of the loading to a table that can be sorted and filtered,
and to the last plot.

    python benchmarks/report_page.py [ROUNDS]
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path
from statistics import median
from typing import Any

import tomli_w
from _machine import print_machine, run
from playwright.sync_api import Browser, sync_playwright

OPTIONS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
# The page leaves a mark where its table listens.
TABLE = "() => performance.getEntriesByName('table')[0]?.startTime / 1000"
DRAWN = """
() => {
  const plots = [...document.querySelectorAll(".js-plotly-plot")];
  const drawn = plots.length > 0 && plots.every((plot) => plot.querySelector(".main-svg"));
  return drawn && performance.now() / 1000;
}
"""


def main() -> None:
    """Both pages in turns."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print_machine()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as started:
        first = Path(name) / "first"
        run("search", "--epochs", "1", "--width", "0.25", "--out", str(first))
        pages = {count: _page(first, Path(name) / str(count), count) for count in (1, 1000)}
        browser = started.chromium.launch(executable_path=chromium, args=OPTIONS)
        times: dict[int, list[tuple[float, float]]] = {count: [] for count in pages}
        for _ in range(rounds):
            for count, page in pages.items():
                times[count].append(_opened(browser, page, count))
        browser.close()
        for count, page in pages.items():
            table, plots = (median(column) for column in zip(*times[count], strict=True))
            size = page.stat().st_size / 1e6
            print(f"{count:5} runs  {size:5.1f} MB  table {table:5.2f} s  plots {plots:5.2f} s")


def _page(first: Path, folder: Path, count: int) -> Path:
    config = tomllib.loads((first / "config.toml").read_text())
    result = json.loads((first / "result.json").read_text())
    row = json.loads((first / "metrics.jsonl").read_text().splitlines()[0])
    for number in range(count):
        out = folder / f"run-{number:04}"
        out.mkdir(parents=True)
        place, seed = divmod(number, 5)
        density, width = 0.1 * (1 + place % 5), 0.1 * (1 + place // 5)
        of_run: dict[str, Any] = {"seed": seed, "density": density, "width": width}
        (out / "config.toml").write_text(tomli_w.dumps({**config, **of_run}))
        top = 0.5 + 0.45 * (number * 7919 % 1000) / 1000
        said = {**result, **of_run, "test_accuracy": top, "ticket_bytes": 10000 + number}
        (out / "result.json").write_text(json.dumps(said))
        rows = [
            {**row, "epoch": epoch, "validation_accuracy": top * (1 - 0.8**epoch)} for epoch in range(1, 31)
        ]
        (out / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
        shutil.copy(first / "layers.json", out)
    page = folder.with_suffix(".html")
    run("report", str(folder), "--out", str(page))
    return page


def _opened(browser: Browser, page: Path, count: int) -> tuple[float, float]:
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    tab.goto(page.as_uri(), wait_until="commit")
    table = tab.wait_for_function(TABLE).json_value()
    assert tab.locator("#table tbody tr").count() == count
    plots = tab.wait_for_function(DRAWN).json_value()
    tab.close()
    return table, plots


if __name__ == "__main__":
    main()
