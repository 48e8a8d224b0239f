"""Iterative magnitude pruning: densities, rewinding, and the whole of it against a plain loop."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from sparse_helpers import adam, loss_on, make_source, prune_by_hand, same_state, sgd, update
from torch import nn
from torch.optim import Optimizer

from builders import CASES
from tombola import ArgumentError, Source
from tombola.sparse import IMP

pytestmark = pytest.mark.filterwarnings("ignore:layers left without a weight")

State = dict[str, torch.Tensor]
LENGTH = 4  # steps in a round


def fresh(model: nn.Module, name: str) -> Optimizer:
    if name == "sgd":
        return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-2)
    return torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=1e-2)


def plain_step(kind: str, model: nn.Module, optimizer: Optimizer, masks: State, step: int) -> None:
    model.train()
    optimizer.zero_grad()
    loss_on(CASES[kind], step)(model).backward()  # type: ignore[no-untyped-call]
    for name, mask in masks.items():
        gradient = model.get_parameter(name).grad
        assert gradient is not None
        gradient.mul_(mask)
    optimizer.step()


def reference(
    kind: str,
    options: str,
    scope: str,
    optimizer_name: str,
    targets: list[float],
    rewind_step: int,
    rewind: str,
) -> tuple[State, State]:
    """The same training without this library's: masks over plain weights, everything copied back by hand."""
    source = make_source(kind, options)
    alive = {name: torch.from_numpy(mask.copy()) for name, mask in source.mask.items()}
    density, model = source.density, source.model
    source.detach()
    masks, layers = dict(alive), [[tensor.name for tensor in layer.tensors] for layer in source.layers]
    optimizer = fresh(model, optimizer_name)
    start = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
    step = 0
    for target in [*targets, None]:
        for _ in range(LENGTH):
            plain_step(kind, model, optimizer, masks, step)
            step += 1
            if step == rewind_step:
                start = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
        if target is None:
            break
        masks = prune_by_hand(model, masks, alive, layers, target / density, scope)
        model.load_state_dict(start[0])
        optimizer = fresh(model, optimizer_name)
        if rewind == "optimizer":
            optimizer.load_state_dict(copy.deepcopy(start[1]))
        for name, mask in masks.items():
            parameter = model.get_parameter(name)
            parameter.data.mul_(mask)
            for values in optimizer.state[parameter].values():
                if values.shape == mask.shape:
                    values.mul_(mask)
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}, masks


@pytest.mark.parametrize("kind", ["mlp", "conv"])
@pytest.mark.parametrize("options", ["dense", "er-bias", "erk-fan"])
@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("optimizer_name", ["sgd", "adam"])
@pytest.mark.parametrize("rewind", ["weights", "optimizer"])
@pytest.mark.parametrize("rewind_step", [0, 3])
def test_it_is_the_plain_loop_bit_for_bit_with_rewinding(
    kind: str, options: str, scope: str, optimizer_name: str, rewind: Any, rewind_step: int
) -> None:
    source = make_source(kind, options)
    p = source.density
    targets = [p * (0.2 / p) ** (1 / 3), p * (0.2 / p) ** (2 / 3), 0.2]
    wanted, masks = reference(kind, options, scope, optimizer_name, targets, rewind_step, rewind)
    imp = IMP(source, 0.2, rounds=3, rewind_step=rewind_step, rewind=rewind, scope=scope)
    optimizer = {"sgd": sgd, "adam": adam}[optimizer_name](imp)
    calls: list[float] = []

    def train() -> None:
        calls.append(imp.density)
        for step in range(LENGTH):
            update(CASES[kind], imp, optimizer, LENGTH * (len(calls) - 1) + step, prune=False)

    imp.run(train)
    assert calls == pytest.approx([p, *targets])
    assert imp.round == imp.rounds == 3
    for name, mask in masks.items():
        assert imp.mask[name].tolist() == mask.tolist()
    source.detach()
    for name, values in source.model.state_dict().items():
        assert torch.equal(values, wanted[name]), name


@pytest.mark.parametrize("rewind_step", [0, 2])
def test_weights_and_statistics_are_those_of_the_step_rewound_to(rewind_step: int) -> None:
    imp = IMP(make_source("conv"), 0.3, rounds=2, rewind_step=rewind_step)
    model, optimizer = imp.source.model, sgd(imp)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    for _ in range(2):  # from both rounds to the same place
        for step in range(5):
            update(CASES["conv"], imp, optimizer, step, prune=False)
            if imp.steps == rewind_step:
                start = {name: value.clone() for name, value in model.state_dict().items()}
        imp.next_round()
        for name, value in model.state_dict().items():
            if not name.endswith(".mask"):
                pruned = torch.zeros((), dtype=torch.bool)
                if name.endswith(".original"):
                    tensor = name.replace("parametrizations.", "").removesuffix(".original")
                    pruned = torch.from_numpy(~imp.mask[tensor])
                assert torch.equal(value, torch.where(pruned, 0.0, start[name]).to(value)), name
        assert not optimizer.state


@pytest.mark.parametrize(
    ("source", "options", "wanted"),
    [
        ({}, {"density": 0.2, "rounds": 1}, [0.2]),
        ({}, {"density": 0.25, "rounds": 2}, [0.5, 0.25]),
        ({"density": 0.6}, {"density": 0.075, "rounds": 3}, [0.3, 0.15, 0.075]),
        ({}, {"density": 0.8}, [0.8]),
        ({}, {"density": 0.8**3}, [0.8, 0.64, 0.512]),  # a power of the fraction takes no round more
        ({}, {"density": 0.9**4, "fraction": 0.1}, [0.9, 0.81, 0.729, 0.6561]),
        ({}, {"density": 0.5, "fraction": 0.2}, [0.8, 0.64, 0.512, 0.5]),
        ({}, {"density": 0.9, "fraction": 0.2}, [0.9]),
        ({}, {"density": 0.1, "fraction": 0.5}, [0.5, 0.25, 0.125, 0.1]),
        ({"density": 0.5}, {"density": 0.5}, [0.5]),
        ({}, {"density": 1.0, "rounds": 2}, [1.0, 1.0]),
    ],
)
def test_densities_of_the_rounds(
    source: dict[str, Any], options: dict[str, Any], wanted: list[float]
) -> None:
    imp = IMP(Source(CASES["mlp"].build(), **source), **options)
    assert imp.densities == pytest.approx(wanted, rel=1e-12)
    assert imp.densities[-1] == options["density"]
    assert imp.rounds == len(wanted)
    assert imp.density == imp.source.density


@pytest.mark.parametrize("after_rewinding", [False, True])
@pytest.mark.parametrize("rewind", ["weights", "optimizer"])
@pytest.mark.parametrize("round_number", [1, 2])
def test_it_resumes_at_the_edge_of_a_round(
    after_rewinding: bool, rewind: Any, round_number: int, tmp_path: Path
) -> None:
    def begin() -> tuple[IMP, Optimizer]:
        imp = IMP(make_source("conv", "er"), 0.2, rounds=3, rewind_step=2, rewind=rewind)
        return imp, adam(imp)

    def steps(imp: IMP, optimizer: Optimizer, count: int) -> None:
        for _ in range(count):
            update(CASES["conv"], imp, optimizer, imp.steps, prune=False)

    whole, optimizer = begin()
    for number in range(1, 4):
        steps(whole, optimizer, LENGTH)
        if number == round_number and not after_rewinding:
            torch.save([whole.state_dict(), optimizer.state_dict()], tmp_path / "state.pt")
        whole.next_round()
        if number == round_number and after_rewinding:
            torch.save([whole.state_dict(), optimizer.state_dict()], tmp_path / "state.pt")
    steps(whole, optimizer, LENGTH)
    rest, rest_optimizer = begin()
    saved, saved_optimizer = torch.load(tmp_path / "state.pt", weights_only=True)
    rest.load_state_dict(saved)
    rest_optimizer.load_state_dict(saved_optimizer)
    rest.watch(rest_optimizer)  # it has not stepped yet
    assert rest.round == (round_number if after_rewinding else round_number - 1)
    if after_rewinding:
        steps(rest, rest_optimizer, LENGTH)
    while rest.round < rest.rounds:
        rest.next_round()
        steps(rest, rest_optimizer, LENGTH)
    assert same_state(rest, whole)


def test_run_goes_on_where_it_was() -> None:
    imp = IMP(make_source("mlp"), 0.2, rounds=3)
    imp.next_round()
    rounds: list[int] = []
    imp.run(lambda: rounds.append(imp.round))
    assert rounds == [1, 2, 3]
    with pytest.raises(ArgumentError, match="all 3 rounds have been pruned"):
        imp.next_round()


def test_the_step_to_rewind_to_must_have_come() -> None:
    imp = IMP(make_source("mlp"), 0.2, rounds=3, rewind_step=2)
    imp.step()
    with pytest.raises(ArgumentError, match="the first round must reach step 2, to rewind to; it is at 1"):
        imp.next_round()
    assert imp.round == 0
    imp.step()
    imp.next_round()
    assert imp.round == 1


def test_what_is_pruned_stays_so_even_beside_zeros() -> None:
    imp = IMP(Source(CASES["mlp"].build(), init="kaiming_uniform"), 0.3, rounds=2, scope="layer")
    imp.next_round()
    before = imp.mask
    with torch.no_grad():
        for parameter in imp.parameters():
            parameter.zero_()
    imp.next_round()
    assert imp.mask <= before


def test_nothing_is_pruned_once_detached() -> None:
    imp = IMP(make_source("mlp"), 0.2)
    imp.source.detach()
    with pytest.raises(ArgumentError, match="cannot prune: the source was detached"):
        imp.next_round()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"density": 0.0}, r"density is the fraction of weights kept, in \(0, 1\], got 0.0"),
        ({"density": 1e-6}, "density 1e-06 keeps none of the network's weights"),
        ({"density": 1e-6, "scope": "layer"}, "'fc1.weight': density 1e-06 keeps none of its 288 weights"),
        ({"density": 0.7}, "density 0.7 is above the source's density 0.6"),
        (
            {"fraction": 0.2, "rounds": 2},
            "fraction that a round drops, or the number of rounds, not both",
        ),
        ({"fraction": 0.0}, r"fraction must be in \(0, 1\), got 0.0"),
        ({"fraction": 1.0}, r"fraction must be in \(0, 1\), got 1.0"),
        ({"rounds": 0}, "rounds is a whole number of at least 1, got 0"),
        ({"rounds": 1.5}, "rounds is a whole number of at least 1, got 1.5"),
        ({"rewind_step": -1}, "rewind_step is a whole number of at least 0, got -1"),
        ({"rewind_step": None}, "rewind_step is a whole number of at least 0, got None"),
        ({"rewind": "optimiser"}, "unknown rewind 'optimiser': did you mean 'optimizer'"),
        ({"scope": "all"}, "unknown scope 'all'"),
    ],
)
def test_options_that_imp_refuses(options: dict[str, Any], message: str) -> None:
    source = make_source("mlp", "er")
    with pytest.raises(ArgumentError, match=message):
        IMP(source, **{"density": 0.3, **options})
    assert all(source.slot(name).masking is None for name in source.names)
