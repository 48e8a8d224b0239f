"""Static: its own mask, a random one, one given; weights to start from; and what SparseTraining refuses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from sparse_helpers import expected_counts, is_plus_zero, layer_counts, loss_on, make_source, sgd, train
from torch import nn

from builders import CASES
from tombola import ArgumentError, EdgePopup, Mask, Source, densities
from tombola.sparse import SET, SparseTraining, Static, magnitude, random, shuffled


def test_without_options_it_trains_the_whole_source() -> None:
    source = make_source("conv", "er")
    assert Static(source).mask == source.mask


@pytest.mark.parametrize("options", ["dense", "er", "given"])
def test_a_random_mask_has_exact_counts_and_comes_from_the_seed(options: str) -> None:
    source = make_source("mlp", options)
    training = Static(source, 0.3)
    assert layer_counts(source, training.mask) == expected_counts(source, 0.3)
    assert training.mask <= source.mask
    assert Static(make_source("mlp", options), 0.3).mask == training.mask
    assert random(make_source("mlp", options), 0.3) == training.mask
    assert Static(make_source("mlp", options, seed=4), 0.3).mask != training.mask


def test_a_rule_and_densities_of_layers() -> None:
    source = make_source("mlp", "er")
    wanted = densities(source.shapes, 0.2, "erk")
    ruled = Static(source, 0.2, rule="erk").mask
    assert {name: int(ruled[name].sum()) for name in wanted} == {
        name: round(wanted[name] * ruled[name].size) for name in wanted
    }
    explicit = Static(make_source("mlp", "er"), {"fc1.weight": 0.25, "fc2.weight": 0.5}).mask
    assert {name: int(array.sum()) for name, array in explicit.items()} == {
        "fc1.weight": 72,
        "fc2.weight": 60,
    }


def test_it_is_a_plain_loop_over_masked_weights() -> None:
    """The same training without this library: gradients multiplied by the mask."""
    source = make_source("conv", "er")
    training = Static(source, 0.3)
    mask = {name: torch.from_numpy(kept.copy()) for name, kept in training.mask.items()}
    plain = CASES["conv"].build()
    plain.load_state_dict(
        {
            **{name: torch.from_numpy(w * training.mask[name]) for name, w in source.weights().items()},
            **{fixed.name: torch.full(fixed.shape, fixed.value) for fixed in source.recipe.fixed},
            **source.buffers.state(),
        }
    )
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-2)
    for step in range(5):
        plain.train()
        optimizer.zero_grad()
        loss_on(CASES["conv"], step)(plain).backward()  # type: ignore[no-untyped-call]
        for name, kept in mask.items():
            gradient = plain.get_parameter(name).grad
            assert gradient is not None
            gradient.mul_(kept)
        optimizer.step()
    train(CASES["conv"], training, sgd(training), range(5))
    source.detach()
    for name, values in source.model.state_dict().items():
        assert torch.equal(values, plain.state_dict()[name]), name


def test_a_mask_given_in_any_form_and_order() -> None:
    source = make_source("mlp", "er")
    mask = magnitude(source, 0.3)
    lists = {name: mask[name].astype(int).tolist() for name in reversed(list(mask))}
    assert Static(source, mask=lists).mask == mask
    again = Static(make_source("mlp", "er"), mask=mask)
    assert again.mask == mask
    for name, kept in mask.items():
        assert is_plus_zero(again.source.parameter(name).detach(), ~kept)


def test_a_retrained_ticket_starts_as_the_ticket() -> None:
    searched = make_source("conv", "er")
    search = EdgePopup(searched, 0.4)
    ticket = search.ticket()
    training = Static(make_source("conv", "er"), mask=ticket.mask, weights=ticket.weights())
    for name, values in ticket.weights().items():
        assert training.weights()[name].tobytes() == values.tobytes()
    # Re-initialised: the same mask, other weights. Shuffled: as many weights, elsewhere in the source.
    other = Static(Source(CASES["conv"].build(), seed=9), mask=ticket.mask)
    assert other.mask == ticket.mask
    assert any(not np.array_equal(other.weights()[n], values) for n, values in ticket.weights().items())
    moved = Static(
        make_source("conv", "er"), mask=shuffled(ticket.mask, 0, within=make_source("conv", "er").mask)
    )
    assert moved.mask != ticket.mask
    assert layer_counts(searched, moved.mask) == layer_counts(searched, ticket.mask)


def test_weights_given_are_masked_copied_and_may_be_some() -> None:
    source = make_source("mlp")
    values = {"fc2.weight": np.full((5, 24), -2.0)}
    start = source.weights()["fc1.weight"]
    training = Static(source, 0.3, weights=values)
    values["fc2.weight"][:] = 7
    kept = training.mask["fc2.weight"]
    assert (training.weights()["fc2.weight"][kept] == -2).all()
    assert is_plus_zero(source.parameter("fc2.weight").detach(), ~kept)
    first = training.mask["fc1.weight"]
    assert (training.weights()["fc1.weight"][first] == start[first]).all()


def test_what_takes_no_part_may_be_given_weights_and_is_trained_whole() -> None:
    source = Source(CASES["mlp"].build(), include="fc1.*")
    training = Static(source, 0.3, weights={"fc2.weight": np.ones((5, 24))})
    assert training.mask["fc2.weight"].all()
    assert list(training.masked) == ["fc1.weight"]
    train(CASES["mlp"], training, sgd(training), range(1))
    assert (training.weights()["fc2.weight"] != 1).any()


WHOLE: dict[str, Any] = {"fc1.weight": np.ones((24, 12), bool), "fc2.weight": np.ones((5, 24), bool)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"density": 0.3, "mask": WHOLE}, "give a mask, or a density and its rule, not both"),
        ({"rule": "erk", "mask": WHOLE}, "give a mask, or a density and its rule, not both"),
        ({"rule": "erk"}, "a rule spreads a density: give one, too"),
        ({"density": 0.7}, "density 0.7 is above the source's density 0.6"),
        ({"density": 0}, r"density is the fraction of weights kept, in \(0, 1\], got 0"),
        ({"density": 0.3, "rule": "no"}, "unknown density rule 'no'"),
        ({"mask": WHOLE}, r"mask 'fc1.weight' keeps \d+ weights outside of the source network"),
        ({"mask": {"fc1.weight": WHOLE["fc1.weight"]}}, "mask names no tensor 'fc2.weight'"),
        ({"mask": WHOLE | {"fc3": [1]}}, "mask names 'fc3', but the random tensors are: fc1.weight"),
        (
            {"mask": WHOLE | {"fc1.weight": np.ones((12, 24), bool)}},
            r"mask 'fc1.weight': expected shape \(24, 12\), got \(12, 24\)",
        ),
        ({"mask": WHOLE | {"fc1.weight": [[0.5]]}}, "mask 'fc1.weight': expected booleans, got float64"),
        ({"weights": {"fc3": [1.0]}}, "weights name 'fc3', but the tensors are: fc1.weight, fc2.weight"),
        ({"weights": {"fc1.weight": [1.0]}}, r"'fc1.weight': expected shape \(24, 12\), got \(1,\)"),
        (
            {"weights": {"fc2.weight": np.full((5, 24), math.inf)}},
            "weights 'fc2.weight' hold a value that is not finite",
        ),
        (
            {"weights": {"fc2.weight": np.full((5, 24), 1e300)}},
            "weights 'fc2.weight' hold a value that is not finite",
        ),
        ({"weights": {"fc2.weight": [["a"]]}}, "weights 'fc2.weight': expected numbers"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    source = make_source("mlp", "er")
    before = {name: value.clone() for name, value in source.model.state_dict().items()}
    with pytest.raises(ArgumentError, match=message):
        Static(source, **options)
    assert all(source.slot(name).masking is None for name in source.names)
    assert all(torch.equal(value, before[name]) for name, value in source.model.state_dict().items())
    assert not any(parameter.requires_grad for parameter in source.model.parameters())


def test_a_mask_must_keep_whole_what_takes_no_part() -> None:
    source = Source(CASES["mlp"].build(), include="fc1.*")
    with pytest.raises(ArgumentError, match="'fc2.weight': the tensor takes no part, so it must be kept"):
        Static(source, mask=WHOLE | {"fc2.weight": np.zeros((5, 24), bool)})


@pytest.mark.parametrize(
    ("take", "message"),
    [
        (EdgePopup, "the source is searched or trained already: make a Source over another model"),
        (Static, "the source is searched or trained already: make a Source over another model"),
        (Source.detach, "cannot train: the source was detached from its model"),
    ],
)
def test_a_source_is_trained_once(take: Any, message: str) -> None:
    source = make_source("mlp")
    take(source)
    with pytest.raises(ArgumentError, match=message):
        Static(source)


def test_a_trained_source_gives_no_ticket_and_takes_no_search() -> None:
    source = make_source("mlp")
    Static(source)
    with pytest.raises(ArgumentError, match="the source is searched already"):
        EdgePopup(source)


def test_a_network_frozen_whole_is_not_trained() -> None:
    source = make_source("mlp", prepare=lambda model: model.requires_grad_(False))
    with pytest.raises(ArgumentError, match="no weight may be trained: all were frozen before"):
        Static(source)
    assert EdgePopup(source).ticket()  # as free as it was


def test_biases_alone_are_no_sparse_training() -> None:
    def freeze(model: nn.Module) -> None:
        model.get_parameter("fc1.weight").requires_grad_(False)
        model.get_parameter("fc2.weight").requires_grad_(False)

    source = make_source("mlp", prepare=freeze)
    with pytest.raises(ArgumentError, match="no weight may be trained"):
        Static(source)
    assert not any(parameter.requires_grad for parameter in source.model.parameters())


def test_a_mask_that_leaves_the_source_changes_nothing() -> None:
    source = make_source("mlp", "er")
    training = Static(source)
    before = training.weights()
    whole = {name: torch.ones(shape, dtype=torch.bool) for name, shape in source.shapes.items()}
    with pytest.raises(ArgumentError, match="'fc1.weight' keeps .* weights outside of the source network"):
        training.set_mask(whole)
    assert training.mask == source.mask
    assert all(np.array_equal(training.weights()[name], before[name]) for name in before)
    with pytest.raises(ArgumentError, match="outside of the source network"):
        SparseTraining(make_source("mlp", "er"), whole)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("mask"), "the saved training holds no 'mask': give what state_dict\\(\\) gave"),
        (lambda s: s.pop("own"), "the saved training holds no 'own'"),
        (lambda s: s["mask"].pop("fc1.weight"), "the saved training has no mask for 'fc1.weight'"),
        (lambda s: s["weights"].pop("norm.bias"), "the saved training has no weights for 'norm.bias'"),
        (lambda s: s["settings"].update(seed=8), "the saved training has seed = 8, this one has 3"),
        (lambda s: s["settings"].update(period=8), "the saved training has period = 8, this one has 2"),
        (lambda s: s["settings"].update(method="RigL"), "method = 'RigL', this one has 'SET'"),
        (lambda s: s["mask"]["fc1.weight"].fill_(True), "keeps .* weights outside of the source network"),
    ],
)
def test_a_state_of_another_training_is_refused(change: Any, message: str) -> None:
    def begin() -> SparseTraining:
        return SET(make_source("mlp", "er"), 0.3, period=2)

    other, training = begin(), begin()
    train(CASES["mlp"], other, sgd(other), range(3))
    state = other.state_dict()
    change(state)
    before, mask = training.weights(), training.mask
    with pytest.raises(ArgumentError, match=message):
        training.load_state_dict(state)
    assert training.steps == 0
    assert training.mask == mask
    assert all(np.array_equal(training.weights()[name], before[name]) for name in before)


def test_a_state_knows_its_mask() -> None:
    first, second = (
        Static(make_source("mlp"), mask=shuffled(random(make_source("mlp"), 0.3), s)) for s in (0, 1)
    )
    with pytest.raises(ArgumentError, match="the saved training has kept = '[0-9a-f]{64}', this one has"):
        first.load_state_dict(second.state_dict())


def test_its_text_says_what_it_is() -> None:
    training = Static(make_source("mlp"), 0.5)
    training.step()
    assert repr(training).startswith(
        "Static(Mask(2 tensors, 204 of 408 weights, density 0.5), 1 steps, Source("
    )
    assert isinstance(training.mask, Mask)
