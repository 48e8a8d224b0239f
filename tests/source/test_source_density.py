"""The density of a source: its own number, its empty layers, and what a saved search knows of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from tombola import ArgumentError, EdgePopup, Source, TombolaError


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 10))


OWN = {"0.weight": 0.5, "2.weight": 0.1}


def test_a_mapping_is_thinned_by_what_it_comes_to() -> None:
    source = Source(network(), seed=1, density=0.5, rule=OWN)
    assert source.density == pytest.approx((0.5 * 600 + 0.1 * 300) / 900)
    search = EdgePopup(source, 0.2)
    for name, mask in search.mask.items():
        assert mask.sum() == round(0.2 / source.density * source.mask[name].sum())
    other = Source(network(), seed=1, density=0.5, rule=OWN)
    said = "ticket density 0.4 is above the source's density 0.366667.*of all weights, up to that"
    with pytest.raises(ArgumentError, match=said):
        EdgePopup(other, 0.4)


def test_biases_do_not_count_in_the_overall_density() -> None:
    source = Source(network(), density=0.5, rule="balanced", bias=True)
    assert source.density == 0.5
    assert 600 * source.densities["0.weight"] + 300 * source.densities["2.weight"] == pytest.approx(450)


class WithAnEmptyLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.nothing = nn.Linear(5, 0)
        self.something = nn.Linear(5, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.something(x), self.nothing(x)], dim=1)


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("options", [{}, {"density": 0.5}, {"bias": True}])
def test_a_layer_without_weights_is_no_obstacle(options: dict[str, Any]) -> None:
    source = Source(WithAnEmptyLayer(), **options)
    search = EdgePopup(source, 0.3, rule=None)
    alive, kept = (
        sum(mask[name].sum() for name in mask if name.startswith("something"))
        for mask in (source.mask, search.mask)
    )
    assert kept == round(0.3 / source.density * alive)
    assert all(name.startswith("something") for name in search.scores)
    search.ticket().verify()
    assert EdgePopup(Source(WithAnEmptyLayer()), 0.3, rule="erk").mask["something.weight"].sum() == 6


@pytest.mark.parametrize(
    "options",
    [
        {"density": 0.4},
        {"rule": "balanced"},
        {"exact": True},
        {"rule": {"0.weight": 0.5, "2.weight": 0.5}},
        {"seed": 2},
        {"init": "uniform"},
    ],
)
def test_a_search_in_another_source_is_not_resumed(options: dict[str, Any]) -> None:
    state = EdgePopup(Source(network(), seed=1, density=0.5), 0.2).state_dict()
    other = EdgePopup(Source(network(), **{"seed": 1, "density": 0.5, **options}), 0.2)
    with pytest.raises(ArgumentError, match="the saved search has"):
        other.load_state_dict(state)


def test_every_setting_of_the_source_is_compared() -> None:
    state = EdgePopup(Source(network(), density=0.5), 0.2).state_dict()
    for name in ("source density", "rule", "layer densities", "exact", "mask", "seed", "init", "shapes"):
        spoilt = {**state, "settings": {**state["settings"], name: "other"}}
        with pytest.raises(ArgumentError, match=f"the saved search has {name}"):
            EdgePopup(Source(network(), density=0.5), 0.2).load_state_dict(spoilt)


@pytest.mark.parametrize("densities", [(0.5, 0.6), (0.6, 0.5)])
def test_another_sources_edges_are_noticed(densities: tuple[float, float]) -> None:
    (model, search), (other, _) = (
        ((m := network()), EdgePopup(Source(m, density=density), 0.2)) for density in densities
    )
    model.load_state_dict(other.state_dict())
    with pytest.raises(TombolaError, match="edges in '0.weight' are no longer those drawn"):
        search.ticket()


@pytest.mark.parametrize("option", ["exact", "bias"])
def test_truth_values(option: str) -> None:
    options: dict[str, Any] = {option: "no"}
    with pytest.raises(ArgumentError, match=f"{option} must be True or False, got 'no'"):
        Source(network(), density=0.5, **options)
