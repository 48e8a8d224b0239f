"""Constructions: every target, both constructions, every kind of source, against an independent reference."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from construction_helpers import (
    EVERY,
    EVERY_SOURCE,
    SOURCES,
    TARGETS,
    box_of,
    certificate_options,
    farthest,
    made,
    options_of,
    pairs,
    sequential,
)
from effective_reference import effective, interval_bound, parameter_error, plain_layers
from torch import nn

import tombola
from tombola import ArgumentError, TicketError
from tombola.theory import certify, check, construct, model_of
from tombola.theory.layout import read_modules
from tombola.theory.plan import LayerPlan
from tombola.ticket import Ticket

every_construction = pytest.mark.parametrize("construction", EVERY)
every_target = pytest.mark.parametrize("name", TARGETS)
sources = pytest.mark.parametrize(("density", "rule"), SOURCES)


def check_against_reference(name: str, construction: str, density: float, rule: str) -> None:
    result = made(name, construction, density, rule)
    layers = plain_layers(TARGETS[name].build())
    found = effective(result.ticket, layers)
    low, high = (side.numpy() for side in box_of(name))
    channels = layers[0].weight.shape[1]
    low, high = low.reshape(channels, -1).min(axis=1), high.reshape(channels, -1).max(axis=1)
    padded = layers[0].padded
    worst = parameter_error(layers, found, signed=bool((low < 0).any()) and not (padded and (low >= 0).all()))
    assert worst <= options_of(name)["tolerance"]
    # The certificate takes sums of float64 as inexact by 2^-32 of their terms.
    scale = max(1.0, *(float(np.abs(layer.weight).max() + np.abs(layer.bias).max()) for layer in layers))
    assert worst <= result.parameter_error <= worst + 1e-7 * scale
    plain = interval_bound(layers, found, low, high)
    assert plain * (1 - 1e-12) <= result.error_bound <= 1.05 * plain + 1e-7 * scale


@every_construction
@every_target
@sources
def test_effective_weights_and_bounds(name: str, construction: str, density: float, rule: str) -> None:
    check_against_reference(name, construction, density, rule)


@every_construction
@pytest.mark.parametrize(("density", "rule"), [each for each in EVERY_SOURCE if each not in SOURCES])
@pytest.mark.parametrize("name", ["biases", "odd kernels"])
def test_every_rule(name: str, construction: str, density: float, rule: str) -> None:
    check_against_reference(name, construction, density, rule)


@every_construction
@every_target
@sources
def test_observed_errors_are_within_the_bound(
    name: str, construction: str, density: float, rule: str
) -> None:
    result = made(name, construction, density, rule)
    worst = farthest(TARGETS[name].build(), result.model(), name)
    assert worst <= result.error_bound
    shown = certify(TARGETS[name].build(), result.ticket, **certificate_options(name))
    assert (shown.error, shown.parameter_error) == (result.error_bound, result.parameter_error)
    assert max(shown.output_errors) == shown.error
    check(TARGETS[name].build(), result.ticket, result.error_bound, **certificate_options(name))


@every_construction
@every_target
def test_an_ordinary_ticket(name: str, construction: str, tmp_path: Path) -> None:
    result = made(name, construction, 0.5, "erk")
    ticket, source = result.ticket, result.ticket.recipe.mask()
    assert all((~ticket.mask[tensor] | source[tensor]).all() for tensor in source)
    assert (result.source_weights, result.kept_weights) == (ticket.mask.total, ticket.mask.kept)
    ticket.save(tmp_path / "t.tombola")
    loaded = Ticket.load(tmp_path / "t.tombola")
    loaded.verify(ticket.digest)
    assert loaded == ticket
    inputs = torch.rand(6, *TARGETS[name].shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = result.model()(inputs)
        assert torch.equal(model_of(loaded)(inputs), wanted)
        blank = result.model()
        for parameter in blank.parameters():
            parameter.fill_(3.0)
        assert torch.equal(loaded.apply(blank)(inputs), wanted)


@every_construction
@pytest.mark.parametrize(("density", "rule"), EVERY_SOURCE)
@pytest.mark.parametrize("name", ["biases", "conv, flatten, linear"])
def test_the_source_is_that_of_source(name: str, construction: str, density: float, rule: str) -> None:
    ticket = made(name, construction, density, rule).ticket
    source = tombola.Source(
        copy.deepcopy(model_of(ticket)),
        seed=1,
        init="uniform",
        density=density,
        rule=rule,
        bias=True,
        fixed={fixed.name: fixed.value for fixed in ticket.fixed},
    )
    assert source.recipe == ticket.recipe
    drawn = source.recipe.mask()
    for tensor in ticket.recipe.tensors:
        assert np.array_equal(source.mask[tensor.name], drawn[tensor.name])
        assert np.array_equal(source.weights()[tensor.name], ticket.recipe.initial(tensor))
    if construction == "redraw":  # whose weights are of later generations
        return
    again = Ticket.from_mask(source, ticket.mask, metadata=ticket.metadata)
    assert again == ticket


@every_construction
def test_same_seed_same_ticket(construction: str) -> None:
    arrays = pairs([4, 5, 3])
    first, again, other = (construct(arrays, s, 0.5, construction=construction) for s in (7, 7, 8))
    assert first.ticket == again.ticket
    assert first.ticket != other.ticket
    assert first.ticket.digest != other.ticket.digest


@every_construction
@pytest.mark.parametrize("bias", [True, False])
def test_arrays_and_modules_give_the_same_ticket(construction: str, bias: bool) -> None:
    arrays = pairs([4, 5, 3], bias)
    of_arrays = construct(arrays, 3, 0.5, construction=construction)
    assert construct(sequential(arrays), 3, 0.5, construction=construction) == of_arrays
    zeros = [(weight, np.zeros(len(weight)) if bias is None else bias) for weight, bias in arrays]
    assert construct(zeros, 3, 0.5, construction=construction).ticket == of_arrays.ticket


@every_construction
def test_kernels_as_arrays(construction: str) -> None:
    random = np.random.default_rng(0)
    kernel, linear = random.uniform(-1, 1, (2, 1, 3, 3)), random.uniform(-1, 1, (3, 8))
    offset = random.uniform(-1, 1, 2)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3, bias=False)).double()
    with torch.no_grad():
        for parameter, values in zip(model.parameters(), (kernel, offset, linear), strict=True):
            parameter.copy_(torch.from_numpy(values))
    arrays = construct([(kernel, offset), (linear, None)], 3, construction=construction)
    assert arrays.ticket == construct(model, 3, construction=construction).ticket


@every_construction
def test_other_number_types(construction: str) -> None:
    arrays = pairs([4, 5, 3])
    rounded: Any = [(w.astype(np.float32), np.asarray(b, dtype=np.float32)) for w, b in arrays]
    exact: Any = [(w.astype(np.float64), b.astype(np.float64)) for w, b in rounded]
    lists: Any = [(w.tolist(), b.tolist()) for w, b in exact]
    wanted = construct(exact, 3, construction=construction).ticket
    for same in (rounded, lists, sequential(arrays).float(), iter(exact)):
        assert construct(same, 3, construction=construction).ticket == wanted


def test_a_density_of_another_number_type() -> None:
    wanted = construct(pairs([4, 3]), 3, 0.5).ticket
    assert construct(pairs([4, 3]), 3, np.float32(0.5)).ticket == wanted  # type: ignore[arg-type]


@every_construction
@pytest.mark.parametrize("density", [1.0, 0.5])
def test_an_error_asked_for_is_kept(construction: str, density: float) -> None:
    target = pairs([16, 24, 5])
    result = construct(target, 0, density, construction=construction, error=0.1)
    assert result.error_bound <= 0.1
    check(target, result.ticket, 0.1)


def test_small_weights_take_no_greater_source() -> None:
    # A small gain makes constants small; they once were needed by the thousand.
    usual, small = (
        made("biases", "one_extra_layer"),
        construct(pairs([5, 6, 3], scale=1e-3), 1, construction="one_extra_layer"),
    )
    assert small.source_weights < 2 * usual.source_weights


def test_retries_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """With too few neurons for each input, and many to spare, subset sums fail until they get more."""
    assert construct(pairs([2, 2]), 0).retries == 0
    monkeypatch.setattr(LayerPlan, "carriers", lambda self, density: 6)
    result = construct(pairs([6, 10, 3]), 0, width_factor=6.0)
    assert result.retries > 0
    assert result.restarts == 0
    assert result.parameter_error <= 0.01


def test_restarts_are_counted() -> None:
    result = construct(pairs([4, 5, 3]), 0, width_factor=0.3)
    assert result.restarts > 0
    assert result.parameter_error <= 0.01


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": lambda shapes, _: dict.fromkeys(shapes, 0.0)}, "of the source would have no edges"),
        ({"density": 1e-10}, "of the source would have no edges: a greater density"),
        ({"density": 1e-308}, "more neurons than there are numbers|would have no edges"),
        ({"width_factor": 1e308}, "^width_factor must be at most 1e.06, got 1e.308"),
        ({"error": 5e-324}, "beyond all measure|the tolerances come to 0|is out of reach"),
        ({"tolerance": 5e-324}, "layer 0: a tolerance of 4.94e-324 is beyond all measure beside weights"),
    ],
)
@pytest.mark.parametrize("construction", EVERY)
def test_numbers_at_the_end_of_float64(construction: str, options: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        construct([([[0.5, -0.25]], [0.125])], construction=construction, **options)


def test_a_bound_beyond_float64_is_infinite() -> None:
    wide: list[Any] = [([[1e20]], None), ([[0.0]], None), ([[1.0]], None)]
    assert construct(wide, tolerance=1e18, box=(-1e300, 1e300)).error_bound == math.inf


@pytest.mark.parametrize(
    "moves",
    [
        [5],
        3,
        "x",
        {"kernel": [1, 1], "stride": [0, 0]},
        {"kernel": [1, 1], "stride": [10**30, 1]},
        {"kernel": [1, 1], "dilation": [0, 1]},
        {"kernel": [1, 1], "padding": [-1, 0]},
        {"kernel": [1]},
        {"shape": [1, 1]},
    ],
)
def test_metadata_of_no_convolution(moves: Any) -> None:
    text = json.dumps([{"kind": "affine", "inputs": 1, "outputs": 1, "convolution": moves}])
    with pytest.raises(TicketError, match="the ticket's metadata describe no construction"):
        read_modules(text)


def test_an_error_that_no_tolerance_brings(monkeypatch: pytest.MonkeyPatch) -> None:
    class Loose:
        error_bound = 0.5

    monkeypatch.setattr("tombola.theory.construction._construct", lambda *_: Loose)
    with pytest.raises(
        ArgumentError, match="no tolerance brings the error over the box down to 0.1: got 0.5"
    ):
        construct([(np.ones((2, 2)), None)], 0, error=0.1)
