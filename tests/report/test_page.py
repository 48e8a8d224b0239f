"""The page and the table as files, and the command that writes them."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from report_helpers import unfinished, write_run, write_runs

from commands import copy_of_finished, finished, python, refusal, result_of, tombola
from tombola.report.page import write_page
from tombola.report.runs import find_runs


def page_of(folder: Path) -> str:
    runs, damaged = find_runs([folder])
    path = folder.parent / "report.html"
    write_page(runs, damaged, path)
    return path.read_text(encoding="utf-8")


def records_in(page: str) -> dict[str, Any]:
    (found,) = re.findall(r'<script type="application/json" id="records">(.*?)</script>', page, re.DOTALL)
    told: dict[str, Any] = json.loads(found)
    return told


def scripts_in(page: str) -> list[str]:
    """What Plotly's is held in, and ours."""
    return re.findall(r'<script(?: type="text/plain" id="plotly")?>(.*?)</script>', page, re.DOTALL)


def test_a_page_of_one_run(tmp_path: Path) -> None:
    ended = tombola("report", finished(), "--out", tmp_path / "r.html", "--json")
    assert (ended.status, ended.err) == (0, "")
    assert json.loads(ended.out) == {"runs": 1, "left_out": 0, "page": str(tmp_path / "r.html")}
    (row,) = records_in((tmp_path / "r.html").read_text())["runs"]
    assert row["digest"] == result_of(finished())["digest"]


def test_the_policy_lets_nothing_in_but_the_pages_own_scripts(tmp_path: Path) -> None:
    page = page_of(write_runs(tmp_path / "all", 2))
    (policy,) = re.findall('http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "http" not in policy
    assert "eval" not in policy
    scripts = scripts_in(page)
    assert len(scripts) == 2
    for script in scripts:
        assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy
    plotly = max(scripts, key=len)
    assert "http" not in page.replace(plotly, "").replace("http-equiv", "").replace(SVG, "")


SVG = "http://www.w3.org/2000/svg"  # a name, not an address


def test_a_pages_bytes_are_a_function_of_the_records(tmp_path: Path) -> None:
    folder = write_runs(tmp_path / "all", 3)
    assert page_of(folder) == page_of(folder)


def test_texts_cannot_end_the_data(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script><!--{{plotly}}"
    write_run(tmp_path / "all" / "run", {"model": evil}, {"model": evil})
    page = page_of(tmp_path / "all")
    assert "alert(1)</script>" not in page
    assert records_in(page)["runs"][0]["model"] == evil


def test_damaged_records_are_named_and_left_out(tmp_path: Path) -> None:
    write_runs(tmp_path / "all", 2)
    (tmp_path / "all" / "run-0001" / "result.json").write_text("{")
    out = tmp_path / "r.html"
    ended = tombola("report", tmp_path / "all", "--out", out, "--csv", tmp_path / "r.csv")
    assert ended.status == 0
    assert ended.complaint.startswith(
        f"warning: the records in {tmp_path / 'all' / 'run-0001'} are damaged: "
    )
    told = records_in(out.read_text())
    assert [run["name"] for run in told["runs"]] == ["run-0000"]
    assert len(told["damaged"]) == 1
    (tmp_path / "all" / "run-0000" / "result.json").write_text("{")
    ended = tombola("report", tmp_path / "all", "--out", tmp_path / "none.html")
    assert ended.status == 2
    last = "tombola: the records of all runs are damaged: there is nothing to report"
    assert ended.err.splitlines()[-1] == last
    assert not (tmp_path / "none.html").exists()


def test_a_table_has_one_row_for_each_run(tmp_path: Path) -> None:
    write_runs(tmp_path / "all", 2)
    unfinished(tmp_path / "all" / "stopped")
    assert tombola("report", tmp_path / "all", "--csv", tmp_path / "r.csv").status == 0
    rows = list(csv.DictReader((tmp_path / "r.csv").open(newline="")))
    assert [row["run"] for row in rows] == ["run-0000", "run-0001", "stopped"]
    assert [row["state"] for row in rows] == ["finished", "finished", "unfinished"]
    assert [row["epochs_done"] for row in rows] == ["30", "30", "1"]
    assert [row["option.seed"] for row in rows] == ["0", "1", "0"]
    assert float(rows[0]["test_accuracy"]) == 0.5
    assert rows[2]["test_accuracy"] == ""
    assert rows[0]["folder"] == str(tmp_path / "all" / "run-0000")


def test_all_three_at_once(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("r.html", "r.csv", "r.png")]
    ended = tombola("report", finished(), "--out", files[0], "--csv", files[1], "--png", files[2], "--json")
    assert ended.status == 0
    assert set(json.loads(ended.out)) == {"runs", "left_out", "page", "table", "picture"}
    assert all(path.stat().st_size > 100 for path in files)


def test_what_to_write_must_be_said() -> None:
    line = refusal("report", finished())
    assert line == "say what to write: --out report.html, --csv FILE or --png FILE"


def test_folders_without_runs_are_refused(tmp_path: Path) -> None:
    assert refusal("report", tmp_path, "--out", tmp_path / "r.html") == f"{tmp_path} holds no run"
    gone = tmp_path / "gone"
    assert refusal("report", gone, "--csv", tmp_path / "r.csv") == f"{gone} does not exist"
    assert "at least one folder" in refusal("report", "--out", tmp_path / "r.html")
    assert list(tmp_path.iterdir()) == []


def test_a_page_into_a_missing_folder(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "r.html"
    assert refusal("report", finished(), "--out", path) == f"{path}: No such file or directory"


def test_without_plotly_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    line = refusal("report", finished(), "--out", tmp_path / "r.html")
    assert line == "the report page needs packages that are not installed: pip install 'tombola[report]'"


def test_no_torch_and_no_ticket_are_needed(tmp_path: Path) -> None:
    folder = copy_of_finished(tmp_path / "run")
    (folder / "ticket.tombola").unlink()
    code = (
        "import sys; from tombola.cli import main; status = main(sys.argv[1:]); "
        "print({'torch', 'matplotlib'} & set(sys.modules)); sys.exit(status)"
    )
    ended = python(code, "report", folder, "--out", tmp_path / "r.html", cwd=tmp_path)
    assert ended.status == 0, ended
    assert ended.out.splitlines()[-1] == "set()"
