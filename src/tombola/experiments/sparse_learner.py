"""Sparse training as a run does it: a method of `tombola.sparse` over the source of its options."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from tombola import sparse
from tombola.data.loader import Batch
from tombola.errors import ArgumentError
from tombola.experiments.evaluation import answering
from tombola.experiments.ranks import ALONE, Ranks
from tombola.experiments.repeat import is_ticket
from tombola.experiments.sources import fan_densities, make_source, other_seed, read_mask
from tombola.experiments.train_config import ONE_SHOT, USUAL_PERIOD, TrainConfig
from tombola.source.network import Source
from tombola.source.plan import layer_shapes
from tombola.ticket import Ticket

# Wang et al. 2020 divide the logits by it, for gradients at initialisation that are far from their limits.
_GRASP_TEMPERATURE = 200.0
# Updates of the mask that a short run is to have, or more.
_UPDATES = 10


class SparseLearner:
    """The weights of a source under a mask, over `steps` updates an epoch.

    `examples` gives the batches of training data that pruning at initialisation may look at.
    """

    def __init__(
        self,
        model: nn.Module,
        config: TrainConfig,
        steps: int,
        examples: Callable[[], Iterator[Batch]],
        ranks: Ranks = ALONE,
    ) -> None:
        self.model = model
        self.training = make_training(model, config, steps, examples, ranks)
        self._rewind_epoch = config.rewind_epochs
        self._chosen = config.method in ONE_SHOT

    @property
    def settled(self) -> bool:
        """Whether the mask has the density that the run is to end with."""
        training = self.training
        if isinstance(training, sparse.IMP):
            return training.round == training.rounds
        return not isinstance(training, sparse.Gradual) or training.steps >= training.end

    @property
    def density(self) -> float:
        """The mask's."""
        return self.training.mask.density

    def plan(self, epochs: int) -> list[int]:
        """The epoch of the learning rate's schedule for each epoch of the run: IMP goes back."""
        rounds = self.training.rounds if isinstance(self.training, sparse.IMP) else 0
        return [*range(epochs), *(list(range(self._rewind_epoch, epochs)) * rounds)]

    def next_round(self) -> None:
        """Prune and rewind."""
        assert isinstance(self.training, sparse.IMP)
        self.training.next_round()

    def parameters(self) -> Iterable[nn.Parameter]:
        """The weights, and whatever else the model trains."""
        return self.training.parameters()

    def step(self) -> None:
        """Update the mask where the method does."""
        self.training.step()

    def state_dict(self) -> dict[str, Any]:
        """The training's own state."""
        return self.training.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""
        if self._chosen and isinstance(self.training, sparse.Static):
            # By arithmetic that another machine rounds otherwise: what was chosen first counts.
            self.training.take_mask_of(state)
        self.training.load_state_dict(state)


def make_training(
    model: nn.Module,
    config: TrainConfig,
    steps: int,
    examples: Callable[[], Iterator[Batch]],
    ranks: Ranks = ALONE,
) -> sparse.SparseTraining:
    """The training that `config` names, of `steps` updates an epoch. Raises what the methods raise, and
    ArgumentError where the mask is to change and would not before the run's last update.
    """
    if config.ticket is not None:
        return _of_ticket(model, config)
    # IMP and gradual pruning start from the whole source.
    kept = None if config.method in ("imp", "gradual") else config.density
    source = make_source(model, config, kept)
    if config.method == "static":
        return sparse.Static(source, config.density, rule=config.ticket_rule)
    assert config.density is not None
    end = max(1, round(config.update_end * config.epochs * steps))
    scope: dict[str, Any] = {} if config.scope is None else {"scope": config.scope}
    if config.method in ONE_SHOT:
        mask = _pruned(source, config, examples, scope)
        return sparse.Static(source, mask=ranks.from_first(lambda: mask))
    if config.method == "imp":
        return sparse.IMP(
            source,
            config.density,
            rounds=config.rounds,
            rewind_step=config.rewind_epochs * steps,
            rewind=config.rewind,
            **scope,
        )
    if config.method == "gradual":
        return sparse.Gradual(source, config.density, end=end, period=_period(config, end), **scope)
    period = _period(config, end)
    if period >= end:
        raise ArgumentError(
            f"the mask would change first after {period} steps, but updates end at step {end} of "
            f"{config.epochs * steps}: give {'' if period == 1 else 'a smaller --period, or '}more epochs"
        )
    options: dict[str, Any] = {"rule": config.ticket_rule}
    if config.method == "rigl":
        options["accumulate"] = config.accumulate
    kind = sparse.RigL if config.method == "rigl" else sparse.SET
    return kind(source, config.density, config.drop, period, end, **options)


def _period(config: TrainConfig, end: int) -> int:
    """Steps between two updates of the mask, of which the last comes before step `end`."""
    if config.period != "auto":
        return config.period
    return min(USUAL_PERIOD, max(1, end // _UPDATES))


def _of_ticket(model: nn.Module, config: TrainConfig) -> sparse.Static:
    """The ticket from its own random weights, or checked against others: see `tombola.sparse.shuffled`."""
    assert config.ticket is not None
    seed, init, weights, within = config.seed, config.init, None, None
    fan_density: Mapping[str, float] | None = None
    if is_ticket(config.ticket):
        ticket = Ticket.load(config.ticket)
        if config.init != TrainConfig().init or config.fan_scaling:
            raise ArgumentError(
                f"{config.ticket} says how its weights are drawn: leave out --init and --fan-scaling"
            )
        mask, within, init = ticket.mask, ticket.recipe.mask(), ticket.recipe.init
        # Weights of other places, or another seed, are to be of the same distribution.
        names = layer_shapes(model)
        fan_density = {t.name: t.fan_density for t in ticket.recipe.tensors if t.name in names}
        if not config.reinit:
            seed = ticket.seed
        if not (config.reinit or config.shuffle):
            weights = ticket.weights()
    else:
        mask = read_mask(config.ticket)
        fan_density = fan_densities(model, config, None, mask) if config.fan_scaling else None
    if config.reinit:
        seed = other_seed(config.seed)
    if config.shuffle:
        within = within if config.source_mask is None else read_mask(config.source_mask)
        mask = sparse.shuffled(mask, config.seed, within)
    # Biases are in the mask of a source that draws them.
    drawn = any(name.rpartition(".")[2].endswith("bias") for name in mask)
    source = Source(model, seed, init, bias=drawn, fan_density=fan_density, mask=mask)
    return sparse.Static(source, weights=weights)


def _pruned(
    source: Source, config: TrainConfig, examples: Callable[[], Iterator[Batch]], scope: dict[str, Any]
) -> dict[str, Any]:
    assert config.density is not None
    loss = _Loss(examples, config.pruning_batches, _GRASP_TEMPERATURE if config.method == "grasp" else 1.0)
    criterion: Callable[..., Any] = getattr(sparse, config.method)
    rule = {} if config.method == "synflow" else {"rule": config.ticket_rule}
    mask: dict[str, Any] = criterion(source, config.density, loss, **rule, **scope)
    return mask


@dataclass(frozen=True)
class _Loss:
    """model -> its mean cross-entropy on the first `count` batches, of logits over `temperature`."""

    examples: Callable[[], Iterator[Batch]]
    count: int
    temperature: float

    def __call__(self, model: nn.Module) -> torch.Tensor:
        losses = []
        for _, (x, y) in zip(range(self.count), self.examples(), strict=False):
            with answering(x):
                losses.append(F.cross_entropy(model(x).float() / self.temperature, y))
        return torch.stack(losses).mean()
