"""The laws of the house, for every search, every distribution and every kind of model.

The laws are listed in CONTRIBUTING.md; they are never weakened.
"""

from __future__ import annotations

import builtins
import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tombola
from builders import CASES, INITS, make_optimizer, make_search, search_methods, train

STEPS = 5

every_method = pytest.mark.parametrize("method", search_methods())
every_init = pytest.mark.parametrize("init", INITS)
every_model = pytest.mark.parametrize("kind", CASES)
every_source = pytest.mark.parametrize(
    "options",
    [
        {},
        {"density": 0.6},
        {"bias": True},
        {"density": 0.6, "bias": True},
        {"fan_density": 0.4},
        {"density": 0.6, "rule": "erk", "exact": True},
        {"density": 0.6, "rule": "pyramidal", "exact": True, "bias": True},
        {"density": 0.6, "rule": "balanced"},
    ],
    ids=["dense", "er", "bias", "er-bias", "fan", "erk-exact", "pyramidal-exact-bias", "balanced"],
)


def found(
    method: str,
    kind: str,
    steps: int = STEPS,
    *,
    search_options: dict[str, Any] | None = None,
    **options: Any,
) -> tuple[torch.nn.Module, tombola.Source, tombola.Search]:
    """A model searched for some steps."""
    model = CASES[kind].build()
    source = tombola.Source(model, **{"seed": 3, **options})
    search = make_search(method, source, **{"density": 0.4, **(search_options or {})})
    train(CASES[kind], model, search, make_optimizer(search), range(steps))
    return model, source, search


def outputs(kind: str, model: torch.nn.Module) -> torch.Tensor:
    model.eval()
    with torch.no_grad():
        result: torch.Tensor = model(CASES[kind].inputs(torch.Generator().manual_seed(99)))
    return result


@every_method
@every_init
@every_model
def test_law_1_same_seed_same_ticket(method: str, init: str, kind: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        torch.manual_seed(hash(name) % 1000)  # a framework's own generator must not matter
        found(method, kind, init=init)[2].ticket().save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@every_init
@every_model
def test_law_1_weights_depend_on_seed_and_name_alone(init: str, kind: str) -> None:
    first = tombola.Source(CASES[kind].build(), seed=3, init=init).weights()
    again = tombola.Source(CASES[kind].build(), seed=3, init=init, density=0.5).weights()
    other = tombola.Source(CASES[kind].build(), seed=4, init=init).weights()
    for name, values in first.items():
        assert values.tobytes() == again[name].tobytes()
        assert not np.array_equal(values, other[name])


@every_method
@every_model
@every_source
@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("absolute", [False, True])
def test_law_2_counts_are_exact_within_the_source(
    method: str, kind: str, options: dict[str, Any], scope: str, absolute: bool
) -> None:
    _, source, search = found(
        method, kind, 3, search_options={"scope": scope, "absolute": absolute}, **options
    )
    assert search.mask <= source.mask
    p = options.get("density", 1.0)
    expected = {}
    for layer in source.layers:
        alive = sum(int(source.mask[tensor.name].sum()) for tensor in layer.tensors)
        expected[layer.name] = round(0.4 / p * alive)
    kept = {
        layer.name: sum(int(search.mask[tensor.name].sum()) for tensor in layer.tensors)
        for layer in source.layers
    }
    if scope == "layer":
        assert kept == expected
    assert sum(kept.values()) == sum(expected.values())


@every_method
@every_model
@every_source
def test_law_3_weights_change_only_by_redraw(method: str, kind: str, options: dict[str, Any]) -> None:
    model, source, search = found(method, kind, 0, **options)
    optimizer = make_optimizer(search)
    scores: dict[str, torch.Tensor] = {}  # as the optimiser leaves them, before `search.step()`
    optimizer.register_step_post_hook(
        lambda *_: scores.update({name: s.detach().clone() for name, s in search.scores.items()})
    )
    for step in range(4):
        before, generations = source.weights(), source.generations()
        train(CASES[kind], model, search, optimizer, range(step, step + 1))
        mask = search.mask
        for name, now in source.weights().items():
            changed = now != before[name]
            assert not (changed & (mask[name] | ~source.mask[name])).any()
            old, new = generations[name], source.generations()[name]
            if new is not None:
                redrawn = new != (0 if old is None else old)
                assert not (changed & ~redrawn).any()
                assert not (redrawn & (mask[name] | ~source.mask[name])).any()
            else:
                assert not changed.any()
        assert all(torch.equal(scores[name], s) for name, s in search.scores.items())


@every_method
@every_model
@every_source
def test_law_3_scores_outside_the_source_stay_zero(method: str, kind: str, options: dict[str, Any]) -> None:
    _, source, search = found(method, kind, **options)
    for name, scores in search.scores.items():
        dead = torch.from_numpy(~source.mask[name])
        assert not scores[dead].any()
        assert scores.grad is not None
        assert not scores.grad[dead].any()
        assert scores.grad[~dead].any()


@every_method
@every_model
def test_law_3_frozen_parameters_get_no_gradient_and_no_decay(method: str, kind: str) -> None:
    model, _, search = found(method, kind, 0)
    trained = {id(scores) for scores in search.parameters()}
    frozen = {name: p for name, p in model.named_parameters() if id(p) not in trained}
    before = {name: p.detach().clone() for name, p in frozen.items()}
    # A user may hand over all parameters of the model: the frozen ones must stay frozen.
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9, weight_decay=0.1)
    train(CASES[kind], model, search, optimizer, range(1))
    assert frozen
    assert all(p.grad is None for p in frozen.values())
    assert all(torch.equal(p, before[name]) for name, p in frozen.items())


@every_method
@every_init
@every_model
@every_source
def test_law_4_the_ticket_is_the_network(
    method: str, init: str, kind: str, options: dict[str, Any], tmp_path: Path
) -> None:
    model, source, search = found(method, kind, init=init, **options)
    expected = outputs(kind, model)
    used = {name: source.in_use(name).detach().clone() for name in source.names}
    ticket = search.ticket(metadata={"note": "söme ☃ text"})
    ticket.save(tmp_path / "a.tombola")
    loaded = tombola.Ticket.load(tmp_path / "a.tombola")
    loaded.save(tmp_path / "b.tombola")
    assert loaded == ticket
    assert (tmp_path / "a.tombola").read_bytes() == (tmp_path / "b.tombola").read_bytes()
    assert loaded.nbytes == (tmp_path / "a.tombola").stat().st_size
    loaded.verify(ticket.digest)
    for name, values in loaded.weights().items():
        assert values.tobytes() == used[name].numpy().tobytes()
    plain = CASES[kind].build()
    loaded.apply(plain)
    assert torch.equal(outputs(kind, plain), expected)
    source.detach()
    assert torch.equal(outputs(kind, model), expected)
    assert search.ticket(metadata={"note": "söme ☃ text"}) == ticket


@every_method
def test_law_5_reading_a_ticket_runs_no_code(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = found(method, "conv")[2].ticket()
    ticket.save(tmp_path / "a.tombola")

    def forbidden(*_: Any, **__: Any) -> Any:
        raise AssertionError("a ticket was read by running code")

    for owner, name in (
        (pickle, "load"),
        (pickle, "loads"),
        (pickle, "Unpickler"),
        (torch, "load"),
        (builtins, "eval"),
        (builtins, "exec"),
    ):
        monkeypatch.setattr(owner, name, forbidden)
    loaded = tombola.Ticket.load(tmp_path / "a.tombola")
    loaded.verify()
    assert loaded == ticket


@every_method
@every_model
@every_source
def test_law_6_detach_restores_plain_modules(method: str, kind: str, options: dict[str, Any]) -> None:
    plain = CASES[kind].build()
    model, source, _ = found(method, kind, **options)
    source.detach()
    assert [type(m) for m in model.modules()] == [type(m) for m in plain.modules()]
    assert list(model.state_dict()) == list(plain.state_dict())
    assert [name for name, _ in model.named_parameters()] == [name for name, _ in plain.named_parameters()]
    assert all(p.requires_grad for p in model.parameters())
    plain.load_state_dict(model.state_dict())
    assert torch.equal(outputs(kind, plain), outputs(kind, model))


@every_method
@every_model
@every_source
def test_law_6_deepcopy_is_a_model_of_its_own(method: str, kind: str, options: dict[str, Any]) -> None:
    model, _, search = found(method, kind, **options)
    twin = copy.deepcopy(model)
    before = outputs(kind, model)
    assert torch.equal(outputs(kind, twin), before)
    # Scores of the copy select in the copy, and nowhere else.
    with torch.no_grad():
        for name, parameter in twin.named_parameters():
            if name.endswith("scores"):
                parameter.copy_(parameter.flip(0))  # ranks others first, by score and by |score|
    assert not torch.equal(outputs(kind, twin), before)
    assert torch.equal(outputs(kind, model), before)
    mine = {id(scores) for scores in search.parameters()}
    assert not any(id(parameter) in mine for parameter in twin.parameters())


@every_method
@every_model
@every_source
def test_law_6_state_dict_moves_a_search_into_another_model(
    method: str, kind: str, options: dict[str, Any]
) -> None:
    model, _, search = found(method, kind, **options)
    other, _, other_search = found(method, kind, 0, **options)
    other.load_state_dict(model.state_dict())
    assert torch.equal(outputs(kind, other), outputs(kind, model))
    assert other_search.mask == search.mask
    assert other_search.ticket() == search.ticket()


@every_method
@every_model
@every_source
def test_a_saved_search_goes_on_exactly(
    method: str, kind: str, options: dict[str, Any], tmp_path: Path
) -> None:
    case = CASES[kind]
    model, _, search = found(method, kind, 7, **options)
    half, _, half_search = found(method, kind, 0, **options)
    optimizer = make_optimizer(half_search)
    train(case, half, half_search, optimizer, range(3))
    torch.save([half_search.state_dict(), optimizer.state_dict()], tmp_path / "state.pt")
    rest, _, rest_search = found(method, kind, 0, **options)
    saved_search, saved_optimizer = torch.load(tmp_path / "state.pt", weights_only=True)
    rest_search.load_state_dict(saved_search)
    rest_optimizer = make_optimizer(rest_search)
    rest_optimizer.load_state_dict(saved_optimizer)
    train(case, rest, rest_search, rest_optimizer, range(3, 7))
    assert rest_search.steps == search.steps == 7
    assert rest_search.ticket() == search.ticket()
    assert torch.equal(outputs(kind, rest), outputs(kind, model))
