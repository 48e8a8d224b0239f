"""Gradual magnitude pruning: the cubic schedule, and the whole training against a plain loop."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sparse_helpers import layer_counts, loss_on, make_source, prune_by_hand, sgd, train, update

from builders import CASES
from tombola import ArgumentError, Mask, Source
from tombola.search.schedule import Cubic
from tombola.sparse import Gradual

pytestmark = pytest.mark.filterwarnings("ignore:layers left without a weight")


def cubic(step: int, start: float, final: float, begin: int, end: int) -> float:
    """Zhu and Gupta 2018, equation 1, with s = 1 - d: s(t) = s_f + (s_i - s_f) (1 - (t - t0) / (n Δt))³."""
    passed = min(max(step, begin), end)
    sparsity = (1 - final) + ((1 - start) - (1 - final)) * (1 - (passed - begin) / (end - begin)) ** 3
    return 1 - sparsity


@pytest.mark.parametrize(("start", "final", "begin", "end"), [(1.0, 0.1, 0, 10), (0.6, 0.3, 3, 7)])
def test_the_cubic_schedule(start: float, final: float, begin: int, end: int) -> None:
    schedule = Cubic(start, final, begin, end)
    for step in range(end + 3):
        assert schedule(step) == pytest.approx(cubic(step, start, final, begin, end), abs=1e-12)
    assert schedule(end) == final  # the number itself, for the counts follow from it
    assert schedule(begin) == pytest.approx(start)


def reference(
    kind: str, options: str, scope: str, steps: int, final: float, due: dict[int, float]
) -> dict[str, torch.Tensor]:
    """The same training without this library's: plain weights, multiplied by masks after every step.

    `due`: {step: density} of the updates.
    """
    source = make_source(kind, options)
    alive = {name: torch.from_numpy(mask.copy()) for name, mask in source.mask.items()}
    density = source.density
    source.detach()
    model = source.model
    masks = dict(alive)
    layers = [[tensor.name for tensor in layer.tensors] for layer in source.layers]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-2)
    for step in range(steps):
        model.train()
        optimizer.zero_grad()
        loss_on(CASES[kind], step)(model).backward()  # type: ignore[no-untyped-call]
        for name, mask in masks.items():
            gradient = model.get_parameter(name).grad
            assert gradient is not None
            gradient.mul_(mask)
        optimizer.step()
        if step + 1 in due:
            masks = prune_by_hand(model, masks, alive, layers, due[step + 1] / density, scope)
            for name, mask in masks.items():
                parameter = model.get_parameter(name)
                parameter.data.mul_(mask)
                optimizer.state[parameter]["momentum_buffer"].mul_(mask)
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("kind", ["mlp", "conv", "attention"])
@pytest.mark.parametrize("options", ["dense", "er", "er-bias"])
@pytest.mark.parametrize("scope", ["layer", "global"])
def test_it_is_the_plain_loop_bit_for_bit(kind: str, options: str, scope: str) -> None:
    source = make_source(kind, options)
    # Updates at 1 + 3 and 1 + 6, and at the end, 8.
    due = {4: cubic(4, source.density, 0.2, 1, 8), 7: cubic(7, source.density, 0.2, 1, 8), 8: 0.2}
    wanted = reference(kind, options, scope, 10, 0.2, due)
    training = Gradual(source, 0.2, begin=1, end=8, period=3, scope=scope)
    train(CASES[kind], training, sgd(training), range(10))
    source.detach()
    found = source.model.state_dict()
    assert list(found) == list(wanted)
    for name, values in wanted.items():
        assert torch.equal(found[name], values), name


def test_updates_come_at_each_period_and_at_the_end() -> None:
    training = Gradual(make_source("mlp", "er"), 0.1, begin=2, end=9, period=3)
    optimizer, densities, changed = sgd(training), [], []
    for step in range(12):
        before = training.mask
        update(CASES["mlp"], training, optimizer, step)
        assert training.mask <= before  # once dropped, always dropped
        densities.append(training.density)
        if training.mask != before:
            changed.append(training.steps)
    assert changed == [5, 8, 9]
    wanted = [cubic({0: 0, 1: 5, 2: 8, 3: 9}[sum(step >= due for due in (5, 8, 9))], 0.6, 0.1, 2, 9)
              for step in range(1, 13)]  # fmt: skip
    assert densities == pytest.approx(wanted)


def test_it_starts_from_the_whole_source() -> None:
    source = make_source("conv", "er")
    training = Gradual(source, 0.2)
    assert training.mask == source.mask
    assert training.density == source.density == 0.6


@pytest.mark.parametrize("interrupted", range(10))
def test_the_density_is_there_again_after_loading(interrupted: int) -> None:
    trainings = [Gradual(make_source("mlp", "er"), 0.1, begin=2, end=9, period=3) for _ in range(2)]
    train(CASES["mlp"], trainings[0], sgd(trainings[0]), range(interrupted))
    trainings[1].load_state_dict(trainings[0].state_dict())
    assert trainings[1].density == trainings[0].density
    assert trainings[1].mask == trainings[0].mask


def test_weights_of_zero_are_kept_before_those_dropped() -> None:
    source = Source(CASES["mlp"].build(), init="kaiming_uniform")
    training = Gradual(source, 0.5, begin=0, end=4, period=1, scope="layer")
    for _ in range(2):
        training.step()
    before = training.mask
    with torch.no_grad():
        for parameter in training.parameters():
            parameter.zero_()
    training.step()
    assert training.mask <= before
    assert training.mask.kept < before.kept


def test_the_layers_of_a_source_are_thinned_evenly_or_by_one_threshold() -> None:
    masks: dict[str, Mask] = {}
    for scope in ("layer", "global"):
        training = Gradual(make_source("mlp", "er"), 0.3, end=1, period=1, scope=scope)
        train(CASES["mlp"], training, sgd(training), range(1))
        masks[scope] = training.mask
    source = make_source("mlp", "er")
    alive = layer_counts(source, source.mask)
    assert layer_counts(source, masks["layer"]) == {name: round(0.5 * count) for name, count in alive.items()}
    assert masks["global"].kept == masks["layer"].kept
    assert layer_counts(source, masks["global"]) != layer_counts(source, masks["layer"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"density": 0.0}, r"density is the fraction of weights kept, in \(0, 1\], got 0.0"),
        ({"density": 1e-6}, "density 1e-06 keeps none of the network's weights"),
        ({"density": 1e-6, "scope": "layer"}, "'fc1.weight': density 1e-06 keeps none of its 288 weights"),
        ({"density": 0.7}, "density 0.7 is above the source's density 0.6"),
        ({"begin": -1}, "begin is a whole number of at least 0, got -1"),
        ({"begin": 0.5}, "begin is a whole number of at least 0, got 0.5"),
        ({"end": 0}, "end is a whole number of at least 1, got 0"),
        ({"end": None}, "end is a whole number of at least 1, got None"),
        ({"begin": 5, "end": 5}, "begin must come before end, got 5 and 5"),
        ({"period": 0}, "period is a whole number of at least 1, got 0"),
        ({"period": True}, "period is a whole number of at least 1, got True"),
        ({"scope": "all"}, "unknown scope 'all'"),
        (
            {"density": {"fc1": 0.3}, "scope": "layer"},
            r"density is the fraction of weights kept, in \(0, 1\]",
        ),
    ],
)
def test_options_that_gradual_refuses(options: dict[str, Any], message: str) -> None:
    source = make_source("mlp", "er")
    with pytest.raises(ArgumentError, match=message):
        Gradual(source, **{"density": 0.3, **options})
    assert all(source.slot(name).masking is None for name in source.names)
