"""Densities that change while a search runs, and tickets whose density follows a rule."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch

import tombola
from builders import CASES, make_optimizer, train
from tombola import ArgumentError, EdgePopup, IteRand, Source, densities
from tombola.search.schedule import Geometric

CASE = CASES["conv"]
RULED = 3
NOT_A_NUMBER: Any = "a"
NAN: Any = float("nan")
HALF: Any = 2.5
NO_SCOPE: Any = None


def counts(search: tombola.Search) -> dict[str, int]:
    return {name: int(mask.sum()) for name, mask in search.mask.items()}


def test_the_levels_of_a_geometric_schedule() -> None:
    schedule = Geometric(start=0.9, final=0.1, steps=12, levels=4)
    values = [schedule(step) for step in range(15)]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == 5
    assert values[0] == 0.9
    assert values[11] > 0.1
    assert values[12:] == [0.1, 0.1, 0.1]
    levels = sorted(set(values), reverse=True)
    factors = [after / before for before, after in pairwise(levels)]
    assert factors == pytest.approx([(0.1 / 0.9) ** 0.25] * 4)


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("source_density", [1.0, 0.6])
def test_a_search_keeps_what_its_schedule_says(scope: str, source_density: float) -> None:
    model = CASE.build()
    source = Source(model, seed=2, density=source_density)
    schedule = Geometric(source_density, 0.2, steps=6, levels=3)
    search = IteRand(source, schedule, period=2, rate=0.5, scope=scope)
    optimizer = make_optimizer(search)
    before = source.mask.kept + 1
    for step in range(1, 9):
        train(CASE, model, search, optimizer, range(step, step + 1))
        plain = EdgePopup(Source(CASE.build(), seed=2, density=source_density), schedule(step), scope=scope)
        assert search.density == schedule(step)
        if scope == "layer":
            assert counts(search) == counts(plain)
        assert search.mask.kept == plain.mask.kept <= before
        assert search.mask <= source.mask
        before = search.mask.kept
    assert search.density == 0.2
    search.ticket().verify()


def test_any_function_of_the_steps_will_do() -> None:
    search = EdgePopup(Source(CASE.build()), lambda step: 0.5 if step < 2 else 0.3)
    kept = [search.mask.kept]
    for _ in range(3):
        search.step()
        kept.append(search.mask.kept)
    assert kept[0] == kept[1] > kept[2] == kept[3]


def test_it_resumes_exactly() -> None:
    def begin() -> tuple[Any, ...]:
        model = CASE.build()
        search = EdgePopup(Source(model, seed=2), Geometric(1.0, 0.2, steps=6, levels=3))
        return model, search, make_optimizer(search)

    model, search, optimizer = begin()
    train(CASE, model, search, optimizer, range(3))
    state, others = search.state_dict(), copy.deepcopy(optimizer.state_dict())
    train(CASE, model, search, optimizer, range(3, 7))
    again, resumed, second = begin()
    resumed.load_state_dict(state)
    second.load_state_dict(others)
    assert resumed.density == pytest.approx(0.2 ** (1 / 3))
    train(CASE, again, resumed, second, range(3, 7))
    assert resumed.ticket() == search.ticket()


def test_a_state_of_another_schedule_is_refused() -> None:
    state = EdgePopup(Source(CASE.build()), Geometric(1.0, 0.2, steps=6, levels=3)).state_dict()
    other = EdgePopup(Source(CASE.build()), Geometric(1.0, 0.2, steps=6, levels=2))
    with pytest.raises(ArgumentError, match=r"density = 'Geometric\(start=1.0.*levels=3\)', this one has"):
        other.load_state_dict(state)


@pytest.mark.parametrize("rule", ["uniform", "erk", "pyramidal", "balanced"])
def test_a_ticket_may_follow_a_rule(rule: str) -> None:
    source = Source(CASE.build())
    search = EdgePopup(source, 0.3, rule=rule)
    expected = densities(source.shapes, 0.3, rule)
    assert counts(search) == {name: round(expected[name] * mask.size) for name, mask in search.mask.items()}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda s: EdgePopup(s, {"3.weight": 0.5}, rule="erk"),
            "a density for each layer, or one and a rule",
        ),
        (lambda s: EdgePopup(s, 0.5, rule="eerk"), "unknown density rule 'eerk': did you mean 'erk'"),
        (
            lambda s: EdgePopup(s, 0.55, rule="balanced"),
            r"layer '0.weight': density 0.7 asks for 151 weights, but",
        ),
        (lambda s: EdgePopup(s, Geometric(0.6, 0.001, 5, 2)), "'0.weight': density 0.001 keeps none of its"),
        (lambda s: EdgePopup(s, Geometric(0.9, 0.5, 5, 2)), "density 0.9 is above the source's density 0.6"),
        (lambda s: Geometric(0.5, 0.6, 5, 2), "annealing goes down, from 0.5 it cannot reach 0.6"),
        (lambda s: Geometric(0.5, 0.0, 5, 2), r"the density to anneal to is the fraction .* got 0.0"),
        (lambda s: Geometric(1.5, 0.5, 5, 2), "the density to anneal from is the fraction .* got 1.5"),
        (lambda s: Geometric(0.5, 0.4, 0, 2), "a whole number of steps, at least 1, got 0"),
        (lambda s: Geometric(0.5, 0.4, 5, 0), "a whole number of levels, at least 1, got 0"),
    ],
)
def test_what_cannot_be_is_refused(make: Any, message: str) -> None:
    source = Source(CASE.build(), density=0.6)
    with pytest.raises(ArgumentError, match=message):
        make(source)
    assert all(source.slot(name).masking is None for name in source.names)


def test_settings_hold_nothing_that_a_checkpoint_could_not() -> None:
    search = EdgePopup(Source(CASE.build(), rule=lambda s, p: dict.fromkeys(s, 0.9)), lambda step: 0.5)

    def plain(value: object) -> bool:
        if isinstance(value, Mapping):
            return all(isinstance(key, str) and plain(entry) for key, entry in value.items())
        if isinstance(value, (list, tuple)):
            return all(map(plain, value))
        return value is None or isinstance(value, (str, int, float, bool, torch.Tensor))

    assert plain(search.settings)


def test_annealing_by_a_rule_keeps_what_is_alive_on_the_way() -> None:
    """At the source's own density the rule asks for more of some layer than was drawn."""
    source = Source(CASE.build(), seed=RULED, density=0.5, rule="erk")
    schedule = Geometric(0.5, 0.2, steps=4, levels=2)
    search = EdgePopup(source, schedule, rule="erk")
    alive = {name: int(mask.sum()) for name, mask in source.mask.items()}
    for step in range(6):
        spread = densities(source.shapes, schedule(step), "erk")
        wanted = {name: round(spread[name] * mask.size) for name, mask in source.mask.items()}
        assert counts(search) == {name: min(alive[name], wanted[name]) for name in wanted}
        search.step()


def test_some_layer_has_fewer_weights_than_its_rule_asks_for() -> None:
    """Or the test above would show nothing."""
    source = Source(CASE.build(), seed=RULED, density=0.5, rule="erk")
    assert any(mask.sum() < round(source.densities[n] * mask.size) for n, mask in source.mask.items())


def test_what_an_annealed_search_must_reach_is_still_refused() -> None:
    source = Source(CASE.build(), seed=2, density=0.5)
    with pytest.raises(ArgumentError, match="'6.weight': density 0.85.* asks for 102 weights, but only"):
        EdgePopup(source, Geometric(0.5, 0.4, steps=4, levels=2), rule="balanced")


def test_the_density_of_a_source_with_dense_layers_can_be_kept_whole() -> None:
    """Its densities come to the one asked for only but for rounding."""
    for percent in range(30, 100):
        density = percent / 100
        rule = partial(densities, rule="erk", dense_last=True)
        source = Source(CASE.build(), density=density, rule=rule)
        assert source.density == density
        assert EdgePopup(source, density).mask == source.mask
        Geometric(source.density, density, steps=2, levels=2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda s, own: EdgePopup(s, 0.1, rule=own), "a density for each layer, or one and a rule"),
        (lambda s, own: EdgePopup(s, Geometric(1.0, 0.1, 4, 2), rule=own), "or one and a rule"),
        (
            lambda s, own: EdgePopup(s, 0.1, rule=lambda shapes, density: own),
            "the rule spreads another density over the layers than 0.1: give what it gives as the density",
        ),
        (lambda s, own: EdgePopup(s, 0.1, scope=NO_SCOPE), "unknown scope None"),
        (lambda s, own: Geometric(1.0, 0.2, NOT_A_NUMBER, 2), "whole number of steps, at least 1, got 'a'"),
        (lambda s, own: Geometric(1.0, 0.2, NAN, 2), "whole number of steps, at least 1, got nan"),
        (lambda s, own: Geometric(1.0, 0.2, 4, HALF), "whole number of levels, at least 1, got 2.5"),
    ],
)
def test_a_density_said_twice_or_in_no_number(make: Any, message: str) -> None:
    source = Source(CASE.build())
    with pytest.raises(ArgumentError, match=message):
        make(source, dict.fromkeys(source.names, 0.5))


def test_before_the_first_step_is_the_start() -> None:
    assert Geometric(0.5, 0.2, 10, 2)(-3) == 0.5


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_the_models_state_takes_the_density_along(scope: str) -> None:
    """Law 6: `state_dict` moves a search into another model, in the middle of its annealing too."""
    schedule = Geometric(0.6, 0.1, steps=4, levels=2)

    def begin() -> tuple[torch.nn.Module, tombola.Search]:
        model = CASE.build()
        return model, EdgePopup(Source(model, seed=2, density=0.6), schedule, scope=scope)

    (model, search), (other, moved) = begin(), begin()
    train(CASE, model, search, make_optimizer(search), range(4))
    other.load_state_dict(model.state_dict())
    model.eval(), other.eval()
    x = CASE.inputs(torch.Generator().manual_seed(1))
    assert torch.equal(model(x), other(x))
    assert moved.mask == search.mask


@pytest.mark.parametrize("spoil", ["counts", "shape"])
def test_a_state_that_cannot_be_changes_nothing(spoil: str) -> None:
    source = Source(CASE.build(), seed=2, density=0.6)
    search = EdgePopup(source, lambda step: 0.5 if step < 5 else 0.9)
    state = search.state_dict()
    if spoil == "counts":
        state["steps"] = 5
    else:
        state["scores"]["3.weight"] = torch.zeros(2)
    state["scores"]["0.weight"] = torch.zeros_like(state["scores"]["0.weight"])
    before = search.state_dict()
    said = "above the source's density" if spoil == "counts" else r"scores of shape \(2,\) for '3.weight'"
    with pytest.raises(ArgumentError, match=said):
        search.load_state_dict(state)
    assert search.steps == 0
    assert all(torch.equal(scores, before["scores"][name]) for name, scores in search.scores.items())
