"""The configuration: what it refuses, records and completes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from commands import python
from tombola.errors import ArgumentError, RunError
from tombola.experiments.config import RunConfig
from tombola.experiments.search_config import SearchConfig
from tombola.experiments.train_config import TrainConfig

FOLDER = Path("run")


@pytest.mark.parametrize("config", [SearchConfig(), TrainConfig(), SearchConfig(period=None, threads=2)])
def test_what_is_written_is_read(tmp_path: Path, config: RunConfig) -> None:
    (tmp_path / "c.toml").write_text(config.to_toml())
    assert type(config).from_toml(tmp_path / "c.toml") == config


def test_places_are_no_settings() -> None:
    places = {"data_dir": Path("/images"), "out": FOLDER, "resume": True}
    assert SearchConfig(**places).settings() == SearchConfig().settings()  # type: ignore[arg-type]
    assert not set(places) & set(SearchConfig().settings())


def test_the_machines_choices_are_completed_and_the_data_folder_too() -> None:
    recorded = SearchConfig(precision="bfloat16", device="cpu", threads=3, data_dir=Path("/images"))
    completed = SearchConfig(out=FOLDER, resume=True).completed(recorded)
    assert completed == replace(recorded, out=FOLDER, resume=True)


def test_a_data_folder_may_move() -> None:
    """It says where the images are, not what they are."""
    recorded = SearchConfig(data_dir=Path("/images"))
    moved = SearchConfig(out=FOLDER, resume=True, data_dir=Path("/elsewhere"))
    assert moved.completed(recorded).data_dir == Path("/elsewhere")


@pytest.mark.parametrize(
    "changed",
    [{"precision": "float32"}, {"device": "cuda"}, {"threads": 2}, {"seed": 1}, {"augment": False}],
)
def test_every_change_is_named(changed: dict[str, Any]) -> None:
    recorded = SearchConfig(precision="bfloat16", device="cpu", threads=3)
    (name, value) = next(iter(changed.items()))
    with pytest.raises(ArgumentError) as caught:
        SearchConfig(out=FOLDER, resume=True, **changed).completed(recorded)
    was = recorded.settings()[name]
    assert str(caught.value) == f"cannot resume run: {name} was {was!r}, now {value!r}"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"precision": "float16"}, "unknown precision 'float16': did you mean '.*float.*16'"),
        ({"device": "gpu"}, "unknown device 'gpu'"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"lr": -1.0}, "lr must be a finite number greater than 0"),
        ({"momentum": float("inf")}, r"momentum must be in \[0, 1\), got inf"),
        ({"resume": True}, "--resume needs --out"),
    ],
)
def test_values_that_no_run_can_have(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        RunConfig(**options).check()
    RunConfig(resume=True, out=FOLDER).check()


def test_no_torch_is_needed_to_parse(tmp_path: Path) -> None:
    code = "import sys, tombola.experiments.config; print('torch' in sys.modules)"
    assert python(code, cwd=tmp_path).out == "False\n"


def test_a_configuration_that_may_not_be_read_is_a_fault_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, **_: object) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(PermissionError):
        SearchConfig.from_toml(tmp_path / "c.toml")


@pytest.mark.parametrize("text", ["epochs = ", "a = " + "[" * 5000, "epochs = 1\nepochs = 2"])
def test_what_is_no_toml(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(RunError, match="cannot read the configuration"):
        SearchConfig.from_toml(tmp_path / "c.toml")
