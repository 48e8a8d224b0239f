"""A source whose edges are a given mask: searched, trained, saved, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import tombola
from builders import CASES, make_optimizer, make_search, search_methods, train
from tombola import ArgumentError, EdgePopup, IteRand, Mask, Source, Ticket
from tombola.sparse import SET, Static

every_method = pytest.mark.parametrize("method", search_methods())
every_model = pytest.mark.parametrize("kind", CASES)


def drawn(kind: str, density: float = 0.6, **options: Any) -> dict[str, np.ndarray]:
    """A mask that no source draws by itself."""
    generator = np.random.default_rng(5)
    shapes = Source(CASES[kind].build(), **options).shapes
    return {name: generator.random(shape) < density for name, shape in shapes.items()}


def outputs(kind: str, model: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        result: torch.Tensor = model.eval()(CASES[kind].inputs(torch.Generator().manual_seed(99)))
    return result


@every_method
@every_model
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("scope", ["layer", "global"])
def test_a_ticket_found_in_it(method: str, kind: str, bias: bool, scope: str, tmp_path: Path) -> None:
    given = drawn(kind, bias=bias)
    model = CASES[kind].build()
    source = Source(model, 3, mask=given, bias=bias)
    assert source.mask == Mask({name: given[name] for name in source.names})
    search = make_search(method, source, density=0.3, scope=scope)
    counts = [
        round(0.3 / source.density * sum(int(given[tensor.name].sum()) for tensor in layer.tensors))
        for layer in source.layers
    ]
    optimizer = make_optimizer(search)
    for step in range(5):
        train(CASES[kind], model, search, optimizer, range(step, step + 1))
        assert search.mask <= source.mask
        assert search.mask.kept == sum(counts)
    for name, generations in source.generations().items():
        assert generations is None or not generations[~given[name]].any()  # redraws only inside
    ticket = search.ticket()
    ticket.save(tmp_path / "a.tombola")
    loaded = Ticket.load(tmp_path / "a.tombola")
    assert loaded == ticket
    loaded.verify(ticket.digest)
    plain = CASES[kind].build()
    loaded.apply(plain)
    assert torch.equal(outputs(kind, plain), outputs(kind, model))
    source.detach()
    assert list(model.state_dict()) == list(plain.state_dict())
    for name, values in plain.state_dict().items():
        if not name.endswith("num_batches_tracked"):  # which no ticket holds
            assert torch.equal(values, model.state_dict()[name])


def test_redraws_reach_every_weight_inside_and_none_outside() -> None:
    given = drawn("mlp")
    source = Source(CASES["mlp"].build(), mask=given)
    search = IteRand(source, 0.3, period=1, rate=1.0)
    pruned = {name: ~mask & given[name] for name, mask in search.mask.items()}
    search.step()
    for name, generations in source.generations().items():
        assert generations is not None
        assert ((generations == 1) == pruned[name]).all()


@every_method
def test_a_search_in_it_resumes_exactly(method: str) -> None:
    def begin() -> tuple[nn.Module, tombola.Search, torch.optim.Optimizer]:
        model = CASES["conv"].build()
        search = make_search(method, Source(model, 3, mask=drawn("conv")), density=0.3)
        return model, search, make_optimizer(search)

    model, search, optimizer = begin()
    train(CASES["conv"], model, search, optimizer, range(3))
    other, rest, second = begin()
    rest.load_state_dict(search.state_dict())
    second.load_state_dict(optimizer.state_dict())
    train(CASES["conv"], other, rest, second, range(3, 6))
    again, whole, third = begin()
    train(CASES["conv"], again, whole, third, range(6))
    assert rest.ticket() == whole.ticket()


def test_weights_are_those_of_the_seed_and_nothing_else_is_alive() -> None:
    given = drawn("conv")
    dense, source = (Source(CASES["conv"].build(), 7, mask=mask) for mask in (None, given))
    for name, values in dense.weights().items():
        assert source.weights()[name].tobytes() == values.tobytes()
        in_use = source.in_use(name).numpy()
        assert in_use.tobytes() == np.where(given[name], values, np.float32(0)).tobytes()


def test_densities_and_summary_are_what_the_mask_has() -> None:
    given = {"fc1.weight": np.zeros((24, 12), bool), "fc2.weight": np.ones((5, 24), bool)}
    given["fc1.weight"][:6, :4] = True
    source = Source(CASES["mlp"].build(), mask=given)
    assert source.densities == {"fc1.weight": 24 / 288, "fc2.weight": 1.0}
    assert source.density == pytest.approx(144 / 408)
    first, second = source.summary()
    assert (first.asked, first.expected, first.drawn) == (24 / 288,) * 3
    assert (first.dead_inputs, first.dead_outputs) == (8, 18)
    assert (second.asked, second.expected, second.drawn, second.dead_inputs) == (1.0, 1.0, 1.0, 0)


def test_what_takes_no_part_counts_no_further() -> None:
    given = {"fc1.weight": np.arange(288).reshape(24, 12) < 72, "fc2.weight": np.ones((5, 24), bool)}
    source = Source(CASES["mlp"].build(), mask=given, include="fc1.*")
    assert source.densities == {"fc1.weight": 0.25}
    assert source.density == 0.25
    assert [layer.drawn for layer in source.summary()] == [0.25, 1.0]


def test_the_order_of_names_and_the_form_of_masks_do_not_matter() -> None:
    given = drawn("mlp")
    lists = {name: given[name].astype(int).tolist() for name in reversed(list(given))}
    first, second = (Source(CASES["mlp"].build(), mask=mask) for mask in (Mask(given), lists))
    assert first.mask == second.mask
    assert first.settings == second.settings


def test_the_arrays_given_are_copied() -> None:
    given = drawn("mlp")
    source = Source(CASES["mlp"].build(), mask=given)
    kept = source.mask.kept
    for array in given.values():
        array[:] = False
    assert source.mask.kept == kept


def test_a_search_over_another_mask_is_refused() -> None:
    other = EdgePopup(Source(CASES["mlp"].build(), mask=drawn("mlp", 0.5)), 0.3).state_dict()
    mine = EdgePopup(Source(CASES["mlp"].build(), mask=drawn("mlp")), 0.3)
    with pytest.raises(ArgumentError, match="the saved search has source density = "):
        mine.load_state_dict(other)
    moved = {name: np.roll(array, 1) for name, array in drawn("mlp").items()}
    same_counts = EdgePopup(Source(CASES["mlp"].build(), mask=moved), 0.3).state_dict()
    with pytest.raises(ArgumentError, match="the saved search has mask = '[0-9a-f]{64}', this one has"):
        mine.load_state_dict(same_counts)


def test_a_ticket_outside_of_it_is_refused() -> None:
    source = Source(CASES["mlp"].build(), mask=drawn("mlp"))
    whole = {name: np.ones(shape, bool) for name, shape in source.shapes.items()}
    with pytest.raises(ArgumentError, match="'fc1.weight' keeps .* weights outside of the source network"):
        Ticket.from_mask(source, whole)
    with pytest.raises(ArgumentError, match="is above the source's density"):
        EdgePopup(source, source.density + 0.01)


def test_the_mask_of_a_training_is_a_source_to_search_in(tmp_path: Path) -> None:
    training = SET(Source(CASES["mlp"].build(), density=0.6), 0.4, period=1)
    training.step()
    training.mask.save(tmp_path / "mask")
    source = Source(CASES["mlp"].build(), mask=Mask.load(tmp_path / "mask"))
    assert source.mask == training.mask
    ticket = EdgePopup(source, 0.2).ticket()
    assert ticket.mask <= training.mask


def test_a_ticket_is_trained_from_its_own_weights() -> None:
    source = Source(CASES["conv"].build(), 3, density=0.6)
    search = IteRand(source, 0.3, period=1, rate=1.0)
    model, optimizer = source.model, make_optimizer(search)
    train(CASES["conv"], model, search, optimizer, range(2))
    ticket = search.ticket()
    training = Static(
        Source(CASES["conv"].build(), 3, mask=ticket.mask), mask=ticket.mask, weights=ticket.weights()
    )
    assert training.mask == training.source.mask == ticket.mask
    for name, values in ticket.weights().items():
        assert training.weights()[name].tobytes() == values.tobytes()


WHOLE = {"fc1.weight": np.ones((24, 12), bool), "fc2.weight": np.ones((5, 24), bool)}
NONE = {name: np.zeros_like(array) for name, array in WHOLE.items()}


@pytest.mark.parametrize(
    ("mask", "options", "message"),
    [
        (WHOLE, {"density": 0.5}, "give a mask, or a density with its rule and exact, not both"),
        (WHOLE, {"rule": "erk"}, "give a mask, or a density with its rule and exact, not both"),
        (WHOLE, {"exact": True}, "give a mask, or a density with its rule and exact, not both"),
        (WHOLE | {"fc3": [1]}, {}, "mask names 'fc3', but the random tensors are: fc1.weight, fc2.weight"),
        ({"fc1.weight": WHOLE["fc1.weight"]}, {}, "mask names no tensor 'fc2.weight': expected one for each"),
        (WHOLE, {"bias": True}, "mask names no tensor 'fc1.bias'"),
        (
            WHOLE | {"fc1.weight": np.ones((12, 24), bool)},
            {},
            r"mask 'fc1.weight': expected shape \(24, 12\), got \(12, 24\)",
        ),
        (WHOLE | {"fc1.weight": np.full((24, 12), 0.5)}, {}, "mask 'fc1.weight': expected booleans, got"),
        (NONE, {}, "the mask keeps no weight at all"),
        ({}, {}, "mask names no tensor 'fc1.weight'"),
        (
            WHOLE | {"fc2.weight": NONE["fc2.weight"]},
            {"include": "fc1.*"},
            "mask 'fc2.weight': the layer takes no part, so it must be kept whole",
        ),
        (WHOLE | {"fc1.weight": NONE["fc1.weight"]}, {"include": "fc1.*"}, "the mask keeps no weight at all"),
    ],
)
def test_masks_that_do_not_fit_are_refused(mask: Any, options: dict[str, Any], message: str) -> None:
    model = CASES["mlp"].build()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ArgumentError, match=message):
        Source(model, mask=mask, **options)
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert all(parameter.requires_grad for parameter in model.parameters())
