"""Optimizers: what the optimisers of some parameters remember of them (momentum and the like).

A method's `step()` is told of no optimiser, as a search's is not; yet a weight that is dropped, grown or
rewound must not keep a momentum. torch tells of every optimiser that steps, and here those are picked out
that train the method's parameters.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook

from tombola.errors import ArgumentError, check_kind
from tombola.source.settings import AS_SAVED

State = dict[str, Any]
"""What an optimiser keeps of one parameter: tensors and numbers by its own names."""


class Optimizers:
    """The optimisers that train `parameters`, known from their first step or from `watch` on."""

    def __init__(self, parameters: Mapping[str, nn.Parameter]) -> None:
        self._parameters = dict(parameters)
        self._known: weakref.WeakSet[Optimizer] = weakref.WeakSet()
        me = weakref.ref(self)

        def notice(optimizer: Optimizer, _args: Any, _options: Any) -> None:
            if (alive := me()) is not None:
                alive.notice(optimizer)

        # Goes when this object does.
        weakref.finalize(self, register_optimizer_step_post_hook(notice).remove)

    def __deepcopy__(self, memo: dict[int, Any]) -> Optimizers:
        # A copy's parameters have other optimisers, which it has to notice for itself.
        return Optimizers({name: copy.deepcopy(p, memo) for name, p in self._parameters.items()})

    def watch(self, optimizer: Optimizer) -> None:
        """Know an optimiser before it steps."""
        self._known.add(optimizer)

    def notice(self, optimizer: Optimizer) -> None:
        """Know an optimiser if it trains any of the parameters."""
        if optimizer in self._known:
            return
        mine = {id(parameter) for parameter in self._parameters.values()}
        if any(id(parameter) in mine for group in optimizer.param_groups for parameter in group["params"]):
            self._known.add(optimizer)

    @torch.no_grad()
    def clear(self, name: str, where: torch.Tensor) -> None:
        """Set to 0 whatever is remembered of the entries `where` of one parameter (nothing is of one that
        is not trained).
        """
        for state in self._states(name):
            for key, value in state.items():
                # "step" is a count, and may have the shape of a parameter that is a single number; Rprop's
                # "step_size" is a rate for each weight, which at 0 would stay there.
                if (
                    key not in ("step", "step_size")
                    and isinstance(value, torch.Tensor)
                    and value.shape == where.shape
                ):
                    value.masked_fill_(where.to(value.device), 0)

    def states(self) -> dict[str, State]:
        """What is remembered of each parameter by name, copied. Of several optimisers, the first's."""
        return {name: _cloned(state) for name in self._parameters for state in list(self._states(name))[:1]}

    def set(self, states: Mapping[str, State]) -> None:
        """Go back to what `states` returned; parameters that it does not name are forgotten."""
        for name, parameter in self._parameters.items():
            for optimizer in self._known:
                optimizer.state.pop(parameter, None)
                if name in states and _trains(optimizer, parameter):
                    optimizer.state[parameter] = _beside(parameter, states[name])

    def _states(self, name: str) -> Iterator[State]:
        if name not in self._parameters:
            return iter(())
        parameter = self._parameters[name]
        return (optimizer.state[parameter] for optimizer in self._known if parameter in optimizer.state)


def check_states(states: Any, parameters: Mapping[str, nn.Parameter]) -> None:
    """Raise ArgumentError unless `states` names states for some of these parameters, as `Optimizers.states`
    does. What is in them is the optimiser's own affair: tensors of any shape, say.
    """
    check_kind("what the optimizer is to remember", states, Mapping, AS_SAVED)
    for name, state in states.items():
        what = f"what the optimizer is to remember of {name!r}"
        if name not in parameters:
            raise ArgumentError(f"{what}: no parameter that is trained; those are {', '.join(parameters)}")
        check_kind(what, state, Mapping, AS_SAVED)


def _trains(optimizer: Optimizer, parameter: nn.Parameter) -> bool:
    return any(parameter is other for group in optimizer.param_groups for other in group["params"])


def _beside(parameter: nn.Parameter, state: Mapping[str, Any]) -> State:
    """A copy on the parameter's device, where it may have gone since; counts stay where they are."""
    return {
        key: value.to(parameter.device) if isinstance(value, torch.Tensor) and value.ndim else value
        for key, value in _cloned(state).items()
    }


def _cloned(state: Mapping[str, Any]) -> State:
    return {key: v.clone() if isinstance(v, torch.Tensor) else v for key, v in state.items()}
