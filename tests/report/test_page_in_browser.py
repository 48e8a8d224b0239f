"""The page as a browser shows it: sorted, filtered, opened, by mouse and by keyboard, nothing fetched."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from report_helpers import unfinished, write_run, write_runs

from commands import finished, result_of, ticket_of
from tombola.report.page import write_page
from tombola.report.runs import find_runs

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NAMES = "td:first-child"


@dataclass
class Shown:
    """A page in a tab, and all that went wrong with it."""

    tab: Any
    wrong: list[str] = field(default_factory=list)

    def names(self) -> list[str]:
        """The first column, from above."""
        texts: list[str] = self.tab.locator(f"#table tbody {NAMES}").all_inner_texts()
        return texts

    def column(self, title: str) -> list[str]:
        """The texts of a column."""
        titles = self.tab.locator("#table thead th").all_inner_texts()
        place = [text.rstrip(" ▲▼") for text in titles].index(title) + 1
        texts: list[str] = self.tab.locator(f"#table tbody td:nth-child({place})").all_inner_texts()
        return texts

    def filtered(self, text: str, rows: int) -> None:
        """Type a filter, and wait for so many rows."""
        self.tab.fill("#filter", text)
        playwright.expect(self.tab.locator("#table tbody tr")).to_have_count(rows)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of ten runs in groups of two seeds, dense training, an unfinished run and a damaged one."""
    folder = tmp_path_factory.mktemp("page") / "runs"
    write_runs(folder, 10, seeds=2, epochs=4)
    shutil.copytree(finished("train"), folder / "dense")
    unfinished(folder / "stopped")
    write_run(folder / "<b>bold</b>", {"seed": 2**64 - 1, "data": "</script><script>alert(1)</script>"})
    (folder / "<b>bold</b>" / "layers.json").unlink()  # as of an earlier version
    write_run(folder / "broken")
    (folder / "broken" / "result.json").write_text("{")
    return page_of(folder)


def page_of(folder: Path) -> Path:
    runs, damaged = find_runs([folder])
    write_page(runs, damaged, folder.parent / "report.html")
    return folder.parent / "report.html"


def opened(browser: Any, path: Path) -> Shown:
    tab = browser.new_page(viewport={"width": 1400, "height": 900}, color_scheme="light")
    shown = Shown(tab)
    tab.on("console", lambda said: shown.wrong.append(said.text))
    tab.on("pageerror", lambda error: shown.wrong.append(str(error)))
    local = ("file:", "data:", "blob:")
    tab.on("request", lambda asked: None if asked.url.startswith(local) else shown.wrong.append(asked.url))
    tab.goto(path.as_uri())
    tab.wait_for_selector("#against .main-svg")  # the last of the plots
    return shown


@pytest.fixture(scope="module")
def tab(browser: Any, some: Path) -> Shown:
    return opened(browser, some)


@pytest.fixture
def shown(tab: Shown) -> Iterator[Shown]:
    """The page as it is at first: it takes a browser long to load."""
    tab.tab.evaluate(AS_AT_FIRST)
    yield tab
    assert tab.wrong == []


AS_AT_FIRST = """() => {
  document.getElementById("detail").close();
  document.getElementById("filters").reset();
  Object.assign(view, { column: "test_accuracy", descending: true, grouped: false });
  update();
}"""


def test_runs_are_sorted_by_any_column(shown: Shown) -> None:
    accuracies = [float(text.split()[0]) for text in shown.column("Test accuracy") if text != "–"]
    assert len(accuracies) == 12
    assert accuracies == sorted(accuracies, reverse=True)
    assert shown.column("Test accuracy")[-1] == "–"  # of the unfinished run
    head = shown.tab.locator("th[data-key=name]")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert shown.tab.locator("th[data-key=test_accuracy]").get_attribute("aria-sort") == "none"
    first = shown.names()
    assert first == sorted(first, key=lambda name: name.lstrip("<"))
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert shown.names() == first[::-1]


def test_runs_are_filtered_by_words_options_and_state(shown: Shown) -> None:
    assert len(shown.names()) == 13
    shown.filtered("edge-popup", 4)
    assert set(shown.column("Method")) == {"edge-popup"}
    shown.filtered("density=0.1 iterand", 2)
    assert shown.tab.locator("#shown").inner_text().startswith("2 of 13 runs, 1 of 8 groups")
    shown.filtered("density=0", 0)  # an option is named in full
    shown.filtered("", 13)
    shown.tab.select_option("#state", "unfinished")
    assert shown.names() == ["stopped"]
    assert shown.column("State") == ["unfinished, epoch 1"]
    shown.tab.select_option("#state", "")
    shown.tab.select_option("#method", "dense")
    assert shown.names() == ["dense"]


def test_seeds_are_grouped_as_mean_and_deviation(shown: Shown) -> None:
    shown.tab.check("#grouped")
    assert len(shown.names()) == 8
    shown.filtered("density=0.1 iterand", 1)
    (said,) = shown.column("Test accuracy")
    # By hand: 0.5 and 0.5 + 0.45 * 919 / 1000.
    assert said == "70.68 ± 29.24 %"
    assert shown.column("Seed") == ["2 seeds"]
    shown.tab.click("#table button.open")
    shown.tab.click("#detail li button >> nth=1")
    assert shown.tab.inner_text("#detail-title") == "run-0001"


def test_an_opened_run_tells_all_of_itself(shown: Shown) -> None:
    shown.filtered("run-0003", 1)
    shown.tab.click(f"#table tbody tr {NAMES}")
    body = shown.tab.locator("#detail-body")
    assert shown.tab.inner_text("#detail-title") == "run-0003"
    command = shown.tab.inner_text("#repeat")
    assert command.startswith("tombola search --data digits ")
    assert "--model mlp --width 0.1 --seed 1 " in command
    assert "--method edge-popup" in command
    assert "batch_size" in body.inner_text()
    assert body.locator(".plot .main-svg").count() >= 3  # its curve, layers, generations
    rows = body.locator("table.layers tbody tr").all_inner_texts()
    assert [row.split("\t")[0] for row in rows] == ["fc1.weight", "fc2.weight", "fc3.weight"]
    assert rows[0].split("\t")[1:5] == ["26×64", "1664", "1664", "832"]
    canvas = body.locator("canvas")
    first = canvas.screenshot()
    assert "fc1.weight, 26×64" in canvas.get_attribute("aria-label")
    body.locator("select").select_option("2")
    assert "fc3.weight, 10×26" in canvas.get_attribute("aria-label")
    assert canvas.screenshot() != first
    shown.tab.click("#close")
    assert not shown.tab.locator("#detail").is_visible()


def test_the_mask_is_painted_as_it_is(shown: Shown) -> None:
    shown.filtered("run-0003", 1)
    shown.tab.click("#table button.open")
    painted = shown.tab.evaluate(
        """() => {
          const canvas = document.querySelector("#detail canvas"), pen = canvas.getContext("2d");
          const cell = canvas.width / 64, colours = [];
          const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
          for (let y = 0; y < 26; y += 1) for (let x = 0; x < 64; x += 1) {
            const at = 4 * ((y * cell + 1) * canvas.width + x * cell + 1);
            colours.push(data.slice(at, at + 3).join());
          }
          return colours;
        }"""
    )
    kept = ticket_of(finished()).mask["fc1.weight"].ravel()
    assert len(set(painted)) == 2
    dark = painted[int(kept.argmax())]
    assert [colour == dark for colour in painted] == kept.tolist()


def test_what_is_not_known_of_a_run_is_said(shown: Shown) -> None:
    for name, text in (
        ("dense", "Dense training keeps every weight."),
        ("stopped", "Known once the run has ended."),
        ("bold", "The run has no layers.json: it was made by an earlier version."),
    ):
        shown.filtered(name, 1)
        shown.tab.click("#table button.open")
        assert text in shown.tab.inner_text("#detail-body")
        shown.tab.keyboard.press("Escape")
        shown.filtered("", 13)
    notes = shown.tab.inner_text("#notes")
    assert "Left out: the records in " in notes
    assert "broken" in notes


def test_names_are_texts_and_seeds_exact(shown: Shown) -> None:
    shown.filtered("bold", 1)
    assert shown.names() == ["<b>bold</b>"]
    assert shown.column("Seed") == [str(2**64 - 1)]
    assert shown.column("Data") == ["</script><script>alert(1)</script>"]


def test_all_of_it_by_keyboard(shown: Shown) -> None:
    tab = shown.tab
    tab.focus("#filter")
    tab.keyboard.type("run-000")
    playwright.expect(tab.locator("#table tbody tr")).to_have_count(10)
    for _ in range(4):  # three choices, the check box
        tab.keyboard.press("Tab")
    tab.keyboard.press("Space")
    playwright.expect(tab.locator("#table tbody tr")).to_have_count(5)
    tab.keyboard.press("Space")
    tab.keyboard.press("Tab")  # what scrolls
    tab.keyboard.press("Tab")  # the first heading
    tab.keyboard.press("Enter")
    assert tab.locator("th[data-key=name]").get_attribute("aria-sort") == "ascending"
    assert tab.evaluate("document.activeElement.closest('th').dataset.key") == "name"  # the focus stays
    for _ in range(13):
        tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    assert tab.inner_text("#detail-title") == "run-0000"
    tab.keyboard.press("Escape")
    assert not tab.locator("#detail").is_visible()
    assert tab.evaluate("document.activeElement.className") == "open"  # and comes back


def test_plots_follow_the_filter_and_the_choice(shown: Shown) -> None:
    tab = shown.tab
    shown.filtered("density=0.1 iterand", 1 + 1)
    playwright.expect(tab.locator("#curves-legend button")).to_have_count(1)
    (name,) = tab.locator("#curves-legend button").all_inner_texts()
    assert name.startswith("iterand")
    assert tab.evaluate("curves.data.filter((trace) => trace.fill).length") == 1  # the seeds' band
    shown.filtered("", 13)
    playwright.expect(tab.locator("#curves-legend button")).to_have_count(8)
    tab.click("#curves-legend button >> nth=0")
    assert tab.evaluate("curves.data.filter((trace) => trace.visible === false).length") >= 1
    tab.select_option("#against-choice", "density")
    assert tab.inner_text("#against-title") == "Test accuracy against density"
    assert tab.evaluate("against.layout.xaxis.title.text") == "density"
    # Nothing that would send the figures away.
    titles = tab.evaluate("[...document.querySelectorAll('.modebar-btn')].map((b) => b.dataset.title)")
    assert set(titles) == {"Download plot as a PNG", "Zoom", "Pan", "Reset axes"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_both_widths_and_both_colour_schemes(shown: Shown, tmp_path: Path, width: int, scheme: str) -> None:
    shown.tab.set_viewport_size({"width": width, "height": 900})
    shown.tab.emulate_media(color_scheme=scheme)
    assert shown.tab.evaluate("document.documentElement.scrollWidth") <= width
    picture = tmp_path / "page.png"
    shown.tab.screenshot(path=picture)
    with Image.open(picture) as image:
        corner = image.convert("L").getpixel((2, 2))
    assert isinstance(corner, int)
    assert (corner > 128) == (scheme == "light")
    assert shown.tab.evaluate(CONTRAST) >= 4.5
    shown.tab.set_viewport_size({"width": 1400, "height": 900})
    shown.tab.emulate_media(color_scheme="light")


# The least contrast of a text with the page behind it (WCAG 2.1): of every colour that texts have.
CONTRAST = """() => {
  const light = (colour) => {
    const parts = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255);
    const [r, g, b] = parts.map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const back = (element) => {
    const colour = getComputedStyle(element).backgroundColor;
    return /, 0\\)$/.test(colour) ? back(element.parentElement) : colour;
  };
  const texts = "h1, h2, p, label, li, td, th button, button:not(.modebar-btn), input, select";
  const ratios = [...document.querySelectorAll(texts)].map((element) => {
    const [one, other] = [light(getComputedStyle(element).color), light(back(element))];
    return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  });
  return Math.min(...ratios);
}"""


def test_one_run(browser: Any, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "only"
    shutil.copytree(finished(), folder)
    page = opened(browser, page_of(folder))
    assert page.names() == ["only"]
    accuracy = 100 * result_of(finished())["test_accuracy"]
    assert page.column("Test accuracy") == [f"{accuracy:.2f} %"]
    page.tab.close()
    assert page.wrong == []


def test_a_thousand_runs(browser: Any, tmp_path: Path) -> None:
    few, _ = find_runs([write_runs(tmp_path / "runs", 10)])
    runs = [replace(few[number % 10], name=f"run-{number:04}") for number in range(1000)]
    path = tmp_path / "report.html"
    write_page(runs, [], path)
    assert path.stat().st_size < 12_000_000
    page = opened(browser, path)
    assert len(page.names()) == 1000
    page.filtered("run-0999", 1)
    page.tab.click("#table button.open")
    assert page.tab.inner_text("#detail-title") == "run-0999"
    page.tab.close()
    assert page.wrong == []
