"""What the tests of sparse training share: every method under one name, and a loop to train it in."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import tombola
from builders import CASES, CLASSES, Case
from tombola import Mask, Source, sparse
from tombola.sparse import IMP, SparseTraining, Static

DENSITY = 0.4
STEPS = 7

# Under which a method shows its nature within a few steps.
OPTIONS: dict[str, dict[str, Any]] = {
    "Gradual": {"begin": 1, "end": 6, "period": 2},
    "IMP": {"rounds": 2, "rewind_step": 1},
    "RigL": {"period": 3, "accumulate": 2, "end": None},
    "SET": {"period": 2},
    "synflow": {"rounds": 5},
}
# After how many steps IMP is pruned and rewound here.
ROUND_ENDS = (3, 5)

SOURCES: dict[str, dict[str, Any]] = {
    "dense": {},
    "er": {"density": 0.6},
    "er-bias": {"density": 0.6, "bias": True},
    "erk-exact": {"density": 0.6, "rule": "erk", "exact": True},
    "erk-fan": {"density": 0.6, "rule": "erk", "fan_density": 0.6},
    "given": {"mask": 0.7},
}


def exported() -> dict[str, Any]:
    """Every exported method by name: classes that train, and functions that choose a mask at once."""
    values = {name: getattr(sparse, name) for name in sparse.__all__}
    return {
        name: value
        for name, value in values.items()
        if (isinstance(value, type) and value is not SparseTraining)
        or (inspect.isfunction(value) and "loss" in inspect.signature(value).parameters)
    }


def methods() -> list[str]:
    """Every method, once for each scope where it has one: a new one is here without a line of its own."""
    names = []
    for name, value in exported().items():
        scoped = "scope" in inspect.signature(value).parameters
        names += [f"{name}-{scope}" for scope in ("layer", "global")] if scoped else [name]
    return sorted(names)


def make_source(kind: str, options: str = "dense", seed: int = 3, prepare: Any = None) -> Source:
    """A source over a fresh model; a mask given as a number is drawn with that density."""
    given = dict(SOURCES[options])
    if "mask" in given:
        generator = np.random.default_rng(1)
        shapes = Source(CASES[kind].build()).shapes
        given["mask"] = {n: generator.random(shape) < given["mask"] for n, shape in shapes.items()}
    model = CASES[kind].build()
    if prepare is not None:
        prepare(model)
    return Source(model, **{"seed": seed, **given})


def loss_on(case: Case, step: int = 0) -> Callable[[nn.Module], torch.Tensor]:
    """The loss of a model on the batch of a step."""

    def loss(model: nn.Module) -> torch.Tensor:
        generator = torch.Generator().manual_seed(step)
        x, y = case.inputs(generator), torch.randint(CLASSES, (8,), generator=generator)
        return F.cross_entropy(model(x), y)

    return loss


def make(method: str, source: Source, kind: str, **options: Any) -> SparseTraining:
    """A training by the name that `methods` has for it."""
    name, _, scope = method.partition("-")
    value = exported()[name]
    chosen = {**OPTIONS.get(name, {}), **({"scope": scope} if scope else {}), **options}
    if not isinstance(value, type):
        return Static(source, mask=value(source, DENSITY, loss_on(CASES[kind]), **chosen))
    made: SparseTraining = value(source, **{"density": DENSITY, **chosen})
    return made


def sgd(training: SparseTraining) -> torch.optim.Optimizer:
    """SGD with everything that could touch what it must not: momentum and weight decay."""
    return torch.optim.SGD(training.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-2)


def adam(training: SparseTraining) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay."""
    return torch.optim.AdamW(training.parameters(), lr=0.01, weight_decay=1e-2)


def update(
    case: Case, training: SparseTraining, optimizer: torch.optim.Optimizer, step: int, *, prune: bool = True
) -> None:
    """One step on the batch of its number; IMP's rounds end where they do."""
    model = training.source.model.train()
    optimizer.zero_grad()
    loss_on(case, step)(model).backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    training.step()
    if prune and isinstance(training, IMP) and training.steps in ROUND_ENDS:
        training.next_round()


def train(case: Case, training: SparseTraining, optimizer: torch.optim.Optimizer, steps: range) -> None:
    """Steps on batches that depend on the step's number alone."""
    for step in steps:
        update(case, training, optimizer, step)


def trained(method: str, kind: str, options: str = "dense", steps: int = STEPS) -> SparseTraining:
    """A training after some steps."""
    training = make(method, make_source(kind, options), kind)
    train(CASES[kind], training, sgd(training), range(steps))
    return training


def outputs(kind: str, model: nn.Module) -> torch.Tensor:
    """What a model gives for one batch, in evaluation mode."""
    model.eval()
    with torch.no_grad():
        result: torch.Tensor = model(CASES[kind].inputs(torch.Generator().manual_seed(99)))
    return result


def layer_counts(source: Source, mask: Mask) -> dict[str, int]:
    """{layer name: how many of its weights a mask keeps}."""
    return {
        layer.name: sum(int(mask[tensor.name].sum()) for tensor in layer.tensors) for layer in source.layers
    }


def expected_counts(source: Source, density: float) -> dict[str, int]:
    """{layer name: round(density / p · alive)}."""
    alive = layer_counts(source, source.mask)
    return {name: round(density / source.density * count) for name, count in alive.items()}


def is_plus_zero(values: Any, pruned: Any) -> bool:
    """Whether all pruned values are 0, and none of them -0.0."""
    array = np.asarray(values)[pruned]
    return not array.any() and not np.signbit(array).any()


def same_state(first: SparseTraining, second: SparseTraining) -> bool:
    """Whether weights, masks, buffers and fixed parameters are the same bits."""
    mine, theirs = (tombola.sparse.base.plain_state(training.source) for training in (first, second))
    return (
        first.mask == second.mask
        and list(mine) == list(theirs)
        and all(mine[name].numpy().tobytes() == theirs[name].numpy().tobytes() for name in mine)
    )


def prune_by_hand(
    model: nn.Module,
    masks: dict[str, torch.Tensor],
    alive: dict[str, torch.Tensor],
    layers: list[list[str]],
    part: float,
    scope: str,
) -> dict[str, torch.Tensor]:
    """Masks of the greatest |weights| of a plain model under `masks`: round(part · alive) for each layer, or
    as many over all of them together.
    """
    counts = [round(part * sum(int(alive[name].sum()) for name in names)) for names in layers]
    groups = list(zip(layers, counts, strict=True))
    if scope == "global":
        groups = [([name for names in layers for name in names], sum(counts))]
    pruned = dict(masks)
    for names, count in groups:
        ranks = [torch.where(masks[name], model.get_parameter(name).detach().abs(), -1.0) for name in names]
        flat = torch.cat([rank.flatten() for rank in ranks])
        best = torch.zeros(flat.numel(), dtype=torch.bool)
        best[torch.argsort(flat, descending=True, stable=True)[:count]] = True
        parts = torch.split(best, [rank.numel() for rank in ranks])
        pruned |= {name: part.view_as(masks[name]) for name, part in zip(names, parts, strict=True)}
    return pruned
