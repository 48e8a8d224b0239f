"""What a run trains, behind one interface: the scores of a search, or the weights themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from torch import nn

from tombola.errors import unknown
from tombola.experiments.config import RunConfig
from tombola.experiments.search_config import METHODS, SearchConfig
from tombola.experiments.sources import make_source
from tombola.search.base import Search
from tombola.search.edge_popup import EdgePopup
from tombola.search.iterand import IteRand
from tombola.search.schedule import Geometric
from tombola.search.signed_supermask import SignedSupermask
from tombola.source.network import Source


class Learner(Protocol):
    """A model and what is trained in it."""

    model: nn.Module

    def parameters(self) -> Iterable[nn.Parameter]:
        """What the optimiser trains."""
        ...

    def plan(self, epochs: int) -> list[int]:
        """The epoch of the learning rate's schedule for each epoch of a run that is to have `epochs`: a
        round begins wherever it goes back.
        """
        ...

    def next_round(self) -> None:
        """To be called between two rounds."""
        ...

    @property
    def settled(self) -> bool:
        """Whether what it is now may be what the run ends with."""
        ...

    @property
    def density(self) -> float:
        """The fraction of the weights that is kept now."""
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
    """The scores of a search over frozen random weights, `steps` updates an epoch."""

    def __init__(self, model: nn.Module, config: SearchConfig, steps: int = 1) -> None:
        self.model = model
        self._density = config.density
        source = make_source(model, config, config.density, bias=config.bias)
        self.search = make_search(source, config, steps)

    @property
    def settled(self) -> bool:
        """Whether the ticket has the density that the run is to end with."""
        return self.search.density == self._density

    @property
    def density(self) -> float:
        """The ticket's."""
        return self.search.mask.density

    def plan(self, epochs: int) -> list[int]:
        """One round."""
        return list(range(epochs))

    def next_round(self) -> None:
        """Never: there is one round."""

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

    @property
    def settled(self) -> bool:
        """Always."""
        return True

    @property
    def density(self) -> float:
        """All of them."""
        return 1.0

    def plan(self, epochs: int) -> list[int]:
        """One round."""
        return list(range(epochs))

    def next_round(self) -> None:
        """Never: there is one round."""

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


def make_search(source: Source, config: SearchConfig, steps: int) -> Search:
    """The search that `config` names, of `steps` updates an epoch.

    Raises ArgumentError for an unknown method.
    """
    options: dict[str, Any] = {
        "rule": config.ticket_rule,
        "scope": config.scope,
        "absolute": config.absolute,
        "score_init": config.score_init,
    }
    density = _annealed(source, config, steps)
    if config.method == "iterand":
        return IteRand(source, density, config.redraw_period, config.rate, **options)
    if config.method == "edge-popup":
        return EdgePopup(source, density, **options)
    if config.method == "signed-supermask":
        period = config.redraw_period
        assert period is not None  # which the configuration has checked
        return SignedSupermask(source, density, period, **{**options, "absolute": True})
    raise unknown("method", config.method, METHODS)


def _annealed(source: Source, config: SearchConfig, steps: int) -> float | Geometric:
    if config.anneal == 0:
        return config.density
    epochs = config.anneal_epochs if config.anneal_epochs is not None else config.epochs / 2
    return Geometric(source.density, config.density, max(1, round(epochs * steps)), config.anneal)
