"""What a run trains, behind one interface: the scores of a search, or the weights themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from torch import nn

from tombola.errors import unknown
from tombola.experiments.config import METHODS, RunConfig, SearchConfig
from tombola.search.base import Search
from tombola.search.edge_popup import EdgePopup
from tombola.search.iterand import IteRand
from tombola.source.network import Source


class Learner(Protocol):
    """A model and what is trained in it."""

    model: nn.Module

    def parameters(self) -> Iterable[nn.Parameter]:
        """What the optimiser trains."""
        ...

    def step(self) -> None:
        """To be called after `optimizer.step()`."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on, copied: tensors, numbers and strings only."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""
        ...


class SearchLearner:
    """The scores of a search over frozen random weights."""

    def __init__(self, model: nn.Module, config: SearchConfig) -> None:
        self.model = model
        source = Source(
            model,
            seed=config.seed,
            init=config.init,
            density=config.source_density,
            rule=config.rule,
            bias=config.bias,
            fan_density=config.density if config.fan_scaling else None,
        )
        self.search = make_search(source, config)

    def parameters(self) -> Iterable[nn.Parameter]:
        """The scores."""
        return self.search.parameters()

    def step(self) -> None:
        """Select masks, redraw where the method does."""
        self.search.step()

    def state_dict(self) -> dict[str, Any]:
        """The search's own state."""
        return self.search.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""
        self.search.load_state_dict(state)


class DenseLearner:
    """All parameters of the model, starting from the random weights of the same source.

    `weights` counts those that a search would have scored, biases and normalisation left out.
    """

    def __init__(self, model: nn.Module, config: RunConfig) -> None:
        self.model = model
        source = Source(model, config.seed, config.init)
        source.detach()
        self.weights = source.mask.total

    def parameters(self) -> Iterable[nn.Parameter]:
        """Every parameter that the model trains."""
        return self.model.parameters()

    def step(self) -> None:
        """Nothing: the optimiser has done it all."""

    def state_dict(self) -> dict[str, Any]:
        """The model's own state, copied."""
        return {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""
        self.model.load_state_dict(state)


def make_search(source: Source, config: SearchConfig) -> Search:
    """The search that `config` names. Raises ArgumentError for an unknown method."""
    options: dict[str, Any] = {
        "scope": config.scope,
        "absolute": config.absolute,
        "score_init": config.score_init,
    }
    if config.method == "iterand":
        return IteRand(source, config.density, config.period, config.rate, **options)
    if config.method == "edge-popup":
        return EdgePopup(source, config.density, **options)
    raise unknown("method", config.method, METHODS)
