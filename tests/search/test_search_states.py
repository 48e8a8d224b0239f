"""What a search saves: read back in torch's safe mode, refused whole where it does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from builders import LayerNormMLP
from tombola import ArgumentError, EdgePopup, Geometric, IteRand, Source
from tombola.sparse import RigL


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "the saved search has seed = 1, this one has 0"),
        ({"density": 0.25}, "the saved search has density = 0.25, this one has 0.5"),
        ({"score_init": "kaiming_uniform"}, "the saved search has score_init = 'kaiming_uniform'"),
        ({"rate": 0.2}, "the saved search has rate = 0.2, this one has 0.1"),
        ({"absolute": True}, "the saved search has absolute = True, this one has False"),
    ],
)
def test_a_state_of_another_search_is_refused(change: dict[str, Any], message: str) -> None:
    def make(seed: int = 0, density: float = 0.5, **options: Any) -> IteRand:
        return IteRand(Source(LayerNormMLP(), seed=seed), density, **options)

    search = make()
    before = search.ticket()
    with pytest.raises(ArgumentError, match=message):
        search.load_state_dict(make(**change).state_dict())
    assert search.ticket() == before


def spoiled_scores(state: dict[str, Any]) -> None:
    state["scores"]["fc1.weight"] += 1
    state["scores"]["fc2.weight"][0, 0] = torch.nan


def no_generations(state: dict[str, Any]) -> None:
    del state["generations"]["fc2.weight"]


def no_steps(state: dict[str, Any]) -> None:
    state["steps"] = "x"


def no_settings(state: dict[str, Any]) -> None:
    state["settings"] = None


def scores_as_arrays(state: dict[str, Any]) -> None:
    state["scores"] = {name: scores.numpy() for name, scores in state["scores"].items()}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (no_settings, "settings must be a Mapping, got a NoneType"),
        (scores_as_arrays, "scores for 'fc1.weight' in the saved search must be a Tensor, got a ndarray"),
        (spoiled_scores, "the saved search has scores for 'fc2.weight' that are no finite numbers"),
        (no_generations, "the saved search has no generations for 'fc2.weight'"),
        (no_steps, "the saved search has steps = 'x', which is no number of steps"),
    ],
)
def test_a_state_that_cannot_be_changes_nothing(spoil: Any, message: str) -> None:
    search = IteRand(Source(LayerNormMLP()))
    before = {name: scores.clone() for name, scores in search.scores.items()}
    spoil(state := search.state_dict())
    with pytest.raises(ArgumentError, match=message):
        search.load_state_dict(state)
    assert all(torch.equal(before[name], scores) for name, scores in search.scores.items())
    search.step()


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 40), nn.ReLU(), nn.Linear(40, 3))


LAYERS = ("0.weight", "2.weight")


@pytest.mark.parametrize(
    ("of_source", "density"),
    [
        ({}, dict.fromkeys(LAYERS, np.float32(0.5))),
        ({}, np.float64(0.5)),
        ({"fan_density": np.float64(0.5)}, 0.5),
        ({"fan_density": dict.fromkeys(LAYERS, np.float64(0.5))}, 0.5),
        ({"fan_in": {"0.weight": np.int64(6)}}, 0.5),
        ({"fixed": {"*.bias": np.float32(6)}}, 0.5),
        ({"density": np.float64(0.7), "seed": np.uint64(3)}, 0.5),
        ({}, np.float16(0.5)),
    ],
)
@pytest.mark.parametrize("method", [IteRand, RigL])
def test_numbers_of_numpy_are_read_back_in_safe_mode(
    method: Any, of_source: dict[str, Any], density: Any, tmp_path: Path
) -> None:
    def made() -> Any:
        return method(Source(model(), **of_source), density=density)

    torch.save(made().state_dict(), tmp_path / "state.pt")
    made().load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))


def test_a_step_that_its_schedule_refuses_is_not_counted() -> None:
    search = EdgePopup(Source(model()), density=lambda steps: 0.5 if steps < 2 else 1.5)
    search.step()
    for _ in range(2):
        with pytest.raises(ArgumentError, match="got 1.5"):
            search.step()
        assert search.steps == 1


def test_a_step_whose_scores_are_refused_is_not_counted() -> None:
    search = EdgePopup(Source(model()))
    good = search.scores["2.weight"].detach().clone()
    search.scores["2.weight"].data.fill_(torch.nan)
    with pytest.raises(ArgumentError, match="2.weight: scores must be finite"):
        search.step()
    search.scores["2.weight"].data.copy_(good)
    search.step()
    assert search.steps == 1


@pytest.mark.parametrize("state", [None, 3, [("steps", 1)]])
@pytest.mark.parametrize("method", [IteRand, RigL])
def test_what_is_no_state(method: Any, state: Any) -> None:
    with pytest.raises(ArgumentError, match="^state must be a Mapping, got a .*: give what state_dict"):
        method(Source(model()), density=0.5).load_state_dict(state)


def test_a_schedule_of_numpy_numbers_is_that_of_python_ones() -> None:
    schedule = Geometric(np.float64(0.75), np.float32(0.5), np.int64(4), np.int64(2))  # type: ignore[arg-type]
    assert repr(schedule) == repr(Geometric(0.75, 0.5, 4, 2))


def test_a_refused_step_leaves_the_schedule_where_it_was() -> None:
    search = EdgePopup(Source(model()), density=Geometric(1.0, 0.25, steps=4, levels=4))
    kept, good = search.mask, search.scores["2.weight"].detach().clone()
    search.scores["2.weight"].data.fill_(torch.nan)
    with pytest.raises(ArgumentError, match="2.weight: scores must be finite"):
        search.step()
    search.scores["2.weight"].data.copy_(good)
    assert search.density == 1.0
    assert search.mask == kept
