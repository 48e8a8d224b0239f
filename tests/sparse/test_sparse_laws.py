"""The laws of sparse training, for every method that the package exports, every model and source.

They stand in `tombola.sparse.base`; they are never weakened.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sparse_helpers import (
    DENSITY,
    STEPS,
    adam,
    expected_counts,
    exported,
    is_plus_zero,
    layer_counts,
    make,
    make_source,
    methods,
    outputs,
    same_state,
    sgd,
    train,
    trained,
    update,
)
from sparse_helpers import SOURCES as KINDS_OF_SOURCE
from torch import nn

from builders import CASES
from tombola import ArgumentError, sparse

pytestmark = pytest.mark.filterwarnings("ignore:layers left without a weight")

every_method = pytest.mark.parametrize("method", methods())
# A mask chosen at once is trained by Static, so one of them stands for all after it is chosen.
every_training = pytest.mark.parametrize(
    "method", [name for name in methods() if isinstance(exported()[name.partition("-")[0]], type)]
)
every_model = pytest.mark.parametrize("kind", CASES)
every_source = pytest.mark.parametrize("options", KINDS_OF_SOURCE)


def remembered(optimizer: torch.optim.Optimizer, parameter: torch.Tensor) -> list[torch.Tensor]:
    """What an optimiser keeps of the single weights of a parameter."""
    return [v for key, v in optimizer.state[parameter].items() if key != "step" and v is not None]


def test_the_laws_know_every_export() -> None:
    others = {"SparseTraining", "load", "shuffled"}
    assert set(exported()) == set(sparse.__all__) - others
    assert {"Static", "SET", "RigL", "Gradual-layer", "IMP-global", "snip-layer"} <= set(methods())


@every_method
@every_model
@every_source
def test_the_mask_stays_in_the_source_with_exact_counts(method: str, kind: str, options: str) -> None:
    source = make_source(kind, options)
    training = make(method, source, kind)
    optimizer = sgd(training)
    for step in range(STEPS):
        assert training.mask <= source.mask
        expected = expected_counts(source, getattr(training, "density", DENSITY))
        kept = layer_counts(source, training.mask)
        assert sum(kept.values()) == sum(expected.values())
        if not method.endswith("global"):
            assert kept == expected
        update(CASES[kind], training, optimizer, step)
    assert training.steps == STEPS
    assert training.mask <= source.mask
    # However it gets there, in the end it has the density asked for.
    assert sum(layer_counts(source, training.mask).values()) == sum(expected_counts(source, DENSITY).values())


@every_method
@every_model
@every_source
def test_pruned_weights_are_plus_zero_wherever_one_looks(
    method: str, kind: str, options: str, tmp_path: Path
) -> None:
    training = trained(method, kind, options)
    source, mask = training.source, training.mask
    wanted = outputs(kind, source.model)
    in_use = {name: source.in_use(name).detach().numpy().copy() for name in source.names}
    looks: list[dict[str, Any]] = [in_use, training.weights()]
    for layout in ("dense", "sparse"):
        path = tmp_path / layout
        assert training.save(path, layout) == path.stat().st_size
        state = sparse.load(path)
        looks.append({name: state[name].numpy() for name in source.names})
        plain = CASES[kind].build()
        left = plain.load_state_dict(state, strict=kind != "tied")  # which has one name in the file
        assert not left.unexpected_keys
        assert torch.equal(outputs(kind, plain), wanted)
    source.detach()
    looks.append({name: source.parameter(name).detach().numpy() for name in source.names})
    looks.append(training.weights())
    for look in looks:
        for name, kept in mask.items():
            assert is_plus_zero(look[name], ~kept)
            assert look[name].tobytes() == in_use[name].tobytes()
    assert torch.equal(outputs(kind, source.model), wanted)


@every_training
@every_model
@pytest.mark.parametrize(
    ("options", "make_optimizer"), [*((options, sgd) for options in KINDS_OF_SOURCE), ("er-bias", adam)]
)
def test_dropped_and_grown_weights_start_from_nothing(
    method: str, kind: str, options: str, make_optimizer: Any
) -> None:
    training = make(method, make_source(kind, options), kind)
    optimizer = make_optimizer(training)
    changes = 0
    for step in range(STEPS):
        before = training.mask
        update(CASES[kind], training, optimizer, step)
        for name, kept in training.mask.items():
            parameter = training.source.parameter(name)
            # Nothing but what was kept before and after may have a weight or a memory.
            stale = torch.from_numpy(~kept | ~before[name])
            changes += int((kept != before[name]).sum())
            assert is_plus_zero(parameter.detach(), stale)
            for values in remembered(optimizer, parameter):
                assert not values[stale].any()
    assert (changes > 0) == (method != "Static")


@every_training
@every_model
@pytest.mark.parametrize("interrupted", [0, 2, 3, 4, 5])
def test_a_saved_training_goes_on_exactly(method: str, kind: str, interrupted: int, tmp_path: Path) -> None:
    case, options = CASES[kind], "er-bias"
    whole = trained(method, kind, options)
    half = make(method, make_source(kind, options), kind)
    optimizer = sgd(half)
    train(case, half, optimizer, range(interrupted))
    torch.save([half.state_dict(), optimizer.state_dict()], tmp_path / "state.pt")
    train(case, half, optimizer, range(interrupted, STEPS))  # a saved state is no window into the training
    saved, saved_optimizer = torch.load(tmp_path / "state.pt", weights_only=True)
    rest = make(method, make_source(kind, options), kind)
    rest.load_state_dict(saved)
    rest_optimizer = sgd(rest)
    rest_optimizer.load_state_dict(saved_optimizer)
    train(case, rest, rest_optimizer, range(interrupted, STEPS))
    assert rest.steps == whole.steps == STEPS
    assert same_state(rest, whole)
    assert same_state(half, whole)
    # One may go back in the same training, too, whatever it has become since.
    saved, saved_optimizer = torch.load(tmp_path / "state.pt", weights_only=True)
    half.load_state_dict(saved)
    optimizer.load_state_dict(saved_optimizer)
    train(case, half, optimizer, range(interrupted, STEPS))
    assert same_state(half, whole)
    assert torch.equal(outputs(kind, rest.source.model), outputs(kind, whole.source.model))


@every_method
@every_model
def test_the_seed_alone_decides(method: str, kind: str) -> None:
    runs = []
    for framework_seed in (0, 1):
        torch.manual_seed(framework_seed)  # must not matter
        runs.append(trained(method, kind, "er", 3))
    assert same_state(*runs)
    other = make(method, make_source(kind, "er", seed=4), kind)
    assert other.mask != runs[0].mask


@every_training
@every_model
@every_source
def test_detach_leaves_a_plain_trained_model(method: str, kind: str, options: str) -> None:
    plain = CASES[kind].build()
    training = trained(method, kind, options)
    model = training.source.model
    training.source.detach()
    assert [type(module) for module in model.modules()] == [type(module) for module in plain.modules()]
    assert list(model.state_dict()) == list(plain.state_dict())
    assert [name for name, _ in model.named_parameters()] == [name for name, _ in plain.named_parameters()]
    assert all(parameter.requires_grad for parameter in model.parameters())
    plain.load_state_dict(model.state_dict())
    assert torch.equal(outputs(kind, plain), outputs(kind, model))
    with pytest.raises(ArgumentError, match="cannot step: the source was detached"):
        training.step()


@every_training
@every_model
@pytest.mark.parametrize("steps", [2, 4])
def test_deepcopy_gives_a_model_of_its_own(method: str, kind: str, steps: int) -> None:
    training = trained(method, kind, "er", steps)  # RigL: in the middle of summing gradients, too
    model = training.source.model
    twin = copy.deepcopy(model)
    before = outputs(kind, model)
    assert torch.equal(outputs(kind, twin), before)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.5)
    outputs_of_twin = twin.train()(CASES[kind].inputs(torch.Generator().manual_seed(1)))
    outputs_of_twin.square().sum().backward()
    optimizer.step()
    assert not torch.equal(outputs(kind, twin), before)
    assert torch.equal(outputs(kind, model), before)
    mine = {id(parameter) for parameter in training.parameters()}
    assert not any(id(parameter) in mine for parameter in twin.parameters())


@every_training
@every_model
@every_source
def test_what_has_no_mask_is_trained_too(method: str, kind: str, options: str) -> None:
    training = make(method, make_source(kind, options), kind)
    model = training.source.model
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    update(CASES[kind], training, sgd(training), 0)
    masked = {id(training.source.parameter(name)) for name in training.masked}
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    unmasked = {name for name, p in model.named_parameters() if id(p) not in masked}
    assert {name for name in unmasked if bool(model.get_parameter(name).grad.any())} <= moved  # type: ignore[union-attr]
    assert len(moved) > len(masked) or not unmasked
    ids = [id(parameter) for parameter in training.parameters()]
    training.source.detach()
    assert [id(parameter) for parameter in model.parameters()] == ids


@every_training
@every_model
@every_source
def test_what_was_frozen_before_stays_frozen(method: str, kind: str, options: str) -> None:
    frozen: list[str] = []

    def freeze(model: nn.Module) -> None:
        weights = [name for name, p in model.named_parameters() if p.ndim > 1]
        others = [name for name, p in model.named_parameters() if p.ndim == 1]
        frozen.extend([weights[0], others[0]])
        for name in frozen:
            model.get_parameter(name).requires_grad_(False)

    source = make_source(kind, options, prepare=freeze)
    training = make(method, source, kind)
    fixed = {constant.name: np.float32(constant.value) for constant in source.recipe.fixed}
    start: dict[str, Any] = {**source.weights(), **fixed}
    trained_ids = {id(parameter) for parameter in training.parameters()}
    assert not any(id(source.parameter(name)) in trained_ids for name in frozen)
    # A user may hand over all parameters of the model.
    optimizer = torch.optim.SGD(source.model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-2)
    stayed = dict(training.mask)
    for step in range(STEPS):
        train(CASES[kind], training, optimizer, range(step, step + 1))
        stayed = {name: kept & training.mask[name] for name, kept in stayed.items()}
    for name in frozen:
        values = source.parameter(name).detach().numpy()
        # Frozen is not spared: what the mask leaves is as it was, what it has dropped is 0.
        wanted = np.where(stayed[name], start[name], 0) if name in training.masked else start[name]
        assert (values == wanted).all()
        assert not source.parameter(name).requires_grad
    source.detach()
    trainable = {name: name not in frozen for name, _ in source.model.named_parameters()}
    assert {name: p.requires_grad for name, p in source.model.named_parameters()} == trainable
