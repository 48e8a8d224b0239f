"""The picture: drawn from records alone, for one run or many, grey or colour."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from commands import TINY, copy_of_finished, finished, image_folder, python, refusal, tombola
from tombola import TombolaError
from tombola.report.picture import RIGHT, WRONG, draw


def curves_of(figure: Figure) -> Axes:
    return figure.get_axes()[0]


def texts_of(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.subfigs[0].legends for text in legend.get_texts()]


def test_a_search_beside_dense_training(tmp_path: Path, drawn: list[Figure]) -> None:
    png = tmp_path / "p.png"
    ended = tombola("report", finished(), finished("train"), "--png", png)
    assert (ended.status, ended.err) == (0, "")
    assert str(png) in ended.out
    with Image.open(png) as image:
        assert image.format == "PNG"
        assert image.size[0] >= 1000
        assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 20  # not blank
    search, first_star, dense, star = curves_of(drawn[0]).get_lines()
    rows = [json.loads(line) for line in (finished("train") / "metrics.jsonl").read_text().splitlines()]
    assert list(np.asarray(dense.get_xdata())) == [1, 2]
    assert list(np.asarray(dense.get_ydata())) == [100 * row["validation_accuracy"] for row in rows]
    result = json.loads((finished("train") / "result.json").read_text())
    # Beside the other star, not over it: equal accuracies would hide each other.
    (first_at,), (second_at,) = (np.asarray(line.get_xdata()) for line in (first_star, star))
    assert 2 < first_at < second_at
    assert list(np.asarray(star.get_ydata())) == [100 * result["test_accuracy"]]
    assert star.get_color() == dense.get_color() != search.get_color()
    said = texts_of(drawn[0])
    size = json.loads((finished() / "result.json").read_text())["ticket_bytes"] / 1000
    assert said[0].startswith(f"iterand: 50 % of the weights, none trained, {size:.1f} kB (held-out images)")
    assert said[2].startswith("dense: all weights, trained")
    assert said[3] == f"{100 * result['test_accuracy']:.1f} % of the test images right"


def test_the_answers_are_the_first_runs(tmp_path: Path, drawn: list[Figure]) -> None:
    draw([finished(), finished("train")], tmp_path / "p.png")
    with np.load(finished() / "examples.npz") as examples:
        labels, answers, images = (examples[name] for name in ("labels", "answers", "images"))
    cells = drawn[0].get_axes()[1:]
    assert len(cells) == len(images) == 24
    for cell, label, answer, image in zip(cells, labels, answers, images, strict=True):
        (shown,) = cell.get_images()
        assert np.array_equal(np.asarray(shown.get_array()), image[..., 0])
        right = label == answer
        assert cell.get_title() == (str(answer) if right else f"{answer}\nnot {label}")
        assert cell.title.get_color() == (RIGHT if right else WRONG)
    assert (labels == answers).any()
    assert (labels != answers).any()  # both are seen in this test
    count = int((labels == answers).sum())
    heading = drawn[0].subfigs[1].get_suptitle()
    assert heading == f"Test images and the answers of iterand: {count} of 24 right"


def test_runs_without_validation(tmp_path: Path, drawn: list[Figure]) -> None:
    draw([finished("search", "--validation", "0"), finished()], tmp_path / "p.png")
    without, _, validated, _ = curves_of(drawn[0]).get_lines()
    assert (without.get_linestyle(), validated.get_linestyle()) == ("--", "-")
    assert texts_of(drawn[0])[0].endswith("(training images)")
    assert texts_of(drawn[0])[2].endswith("(held-out images)")


def test_runs_of_the_same_kind_are_told_apart_by_their_folders(tmp_path: Path, drawn: list[Figure]) -> None:
    runs = [copy_of_finished(tmp_path / "one"), copy_of_finished(tmp_path / "two")]
    draw(runs, tmp_path / "p.png")
    assert [text.split(":")[0] for text in texts_of(drawn[0])[::2]] == ["one", "two"]


def test_colour_images_and_awkward_names(tmp_path: Path, drawn: list[Figure]) -> None:
    """A folder called a$\\b$ is no formula."""
    image_folder(tmp_path / "a$\\b$")
    options = ["--batch-size", "4", "--data", str(tmp_path / "a$\\b$")]
    assert tombola("search", *TINY, *options, "--out", tmp_path / "run").status == 0
    draw([tmp_path / "run", finished()], tmp_path / "p.png")
    (shown,) = drawn[0].get_axes()[1].get_images()
    assert np.asarray(shown.get_array()).shape == (8, 8, 3)
    assert len(drawn[0].get_axes()) == 1 + 12  # all of its twelve test images
    assert texts_of(drawn[0])[0].startswith("a$\\b$, mlp, iterand: ")
    assert texts_of(drawn[0])[2].startswith("digits, mlp, iterand: ")


@pytest.mark.parametrize("png", ["p.png", "/dev/null"])
def test_one_epoch_and_one_run(tmp_path: Path, png: str) -> None:
    folder = copy_of_finished(tmp_path / "run")
    (folder / "metrics.jsonl").write_text((folder / "metrics.jsonl").read_text().splitlines()[0])
    draw([folder], tmp_path / png)
    assert Path("/dev/null").is_char_device()


def test_a_pictures_bytes_are_a_function_of_the_records(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        draw([finished()], tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_unfinished_runs_are_refused_by_name(tmp_path: Path) -> None:
    folder = copy_of_finished(tmp_path / "run")
    (folder / "result.json").unlink()
    line = refusal("report", finished(), folder, "--png", tmp_path / "p.png")
    assert line == f"{folder} holds no finished run: result.json is missing"
    assert not (tmp_path / "p.png").exists()


def test_no_run_is_refused(tmp_path: Path) -> None:
    assert "at least one folder" in refusal("report", "--png", tmp_path / "p.png")


def test_no_torch_is_needed(tmp_path: Path) -> None:
    """The records are enough: no ticket is read, nothing is computed again."""
    folder = copy_of_finished(tmp_path / "run")
    for path in folder.iterdir():
        if path.name not in ("result.json", "metrics.jsonl", "examples.npz") and path.is_file():
            path.unlink()
    code = (
        "import sys; from tombola.cli import main; status = main(sys.argv[1:]); "
        "print('torch' in sys.modules); sys.exit(status)"
    )
    ended = python(code, "report", folder, "--png", tmp_path / "p.png", cwd=tmp_path)
    assert ended.status == 0, ended
    assert ended.out.splitlines()[-1] == "False"
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(TombolaError, match=r"drawing needs packages .*'tombola\[vision\]'"):
        draw([tmp_path], tmp_path / "p.png")
