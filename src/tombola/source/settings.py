"""Whether a saved state belongs to what it is loaded into: the settings that decide both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import Any

import torch

from tombola.errors import ArgumentError, check_kind

AS_SAVED = "give what state_dict() gave"
"""What helps where a state does not fit."""


def check_state(
    state: Mapping[str, Any],
    what: str,
    settings: Mapping[str, Any],
    tensors: Mapping[str, Mapping[str, torch.Tensor]],
) -> None:
    """Raise ArgumentError unless `state` is one of a `what` with these settings, and holds under each key
    of `tensors` tensors of the names and shapes of those given for it.
    """
    check_kind("state", state, Mapping, AS_SAVED)
    for key in ("settings", "steps", *tensors):
        if key not in state:
            raise _not_held(what, key)
    steps = state["steps"]
    if isinstance(steps, bool) or not isinstance(steps, Integral) or steps < 0:
        raise ArgumentError(f"the saved {what} has steps = {steps!r}, which is no number of steps")
    check_kind("settings", state["settings"], Mapping, AS_SAVED)
    for key, mine in settings.items():
        theirs = state["settings"].get(key)
        if theirs != mine:
            raise ArgumentError(f"the saved {what} has {_difference(key, theirs, mine)}")
    check_tensors(state, what, tensors)


def check_tensors(
    state: Mapping[str, Any], what: str, tensors: Mapping[str, Mapping[str, torch.Tensor]]
) -> None:
    """Raise ArgumentError unless `state`, of a `what` or a part of it, holds under each key of `tensors`
    tensors of the names and shapes of those given for it, of which values can be copied.
    """
    for key, mine_by_name in tensors.items():
        check_names(state, what, key, mine_by_name)
        for name, tensor in mine_by_name.items():
            value = state[key][name]
            check_kind(f"{key} for {name!r} in the saved {what}", value, torch.Tensor, AS_SAVED)
            if value.is_meta or value.is_quantized or value.layout != torch.strided:
                raise ArgumentError(f"the saved {what} has no plain values as {key} for {name!r}: {AS_SAVED}")
            if (came := tuple(value.shape)) != (expected := tuple(tensor.shape)):
                raise ArgumentError(
                    f"the saved {what} has {key} of shape {came} for {name!r}, this one {expected}"
                )


def check_names(state: Mapping[str, Any], what: str, key: str, names: Iterable[str]) -> None:
    """Raise ArgumentError unless `state` holds something under `key` for each of these names."""
    if not isinstance(state.get(key), Mapping):
        raise _not_held(what, key)
    for name in names:
        if name not in state[key]:
            raise ArgumentError(f"the saved {what} has no {key} for {name!r}")


def plain(value: float | Mapping[str, float] | None) -> Any:
    """A number, or numbers by name, as Python's own: numpy's cannot be read back by `torch.load` in its
    safe mode.
    """
    if isinstance(value, Mapping):
        return {str(name): float(number) for name, number in value.items()}
    return None if value is None else float(value)


def _not_held(what: str, key: str) -> ArgumentError:
    return ArgumentError(f"the saved {what} holds no {key!r}: {AS_SAVED}")


def _difference(key: str, theirs: Any, mine: Any) -> str:
    """What differs, down to the first entry of a mapping."""
    if isinstance(theirs, Mapping) and isinstance(mine, Mapping):
        names = [name for name in {**mine, **theirs} if theirs.get(name) != mine.get(name)]
        if names:
            return _difference(f"{key} of {names[0]!r}", theirs.get(names[0]), mine.get(names[0]))
    return f"{key} = {theirs!r}, this one has {mine!r}"
