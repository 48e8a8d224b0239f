"""The target of the command `construct`: a chain of linear layers in a safetensors file."""

from __future__ import annotations

import re
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from tombola.errors import ArgumentError

Layers = list[tuple[torch.Tensor, torch.Tensor | None]]
State = dict[str, torch.Tensor]


def read_layers(path: Path) -> Layers:
    """The (weight, bias) pairs of a state dict in a safetensors file: linear layers alone, in the order of
    their names (numbers in them count as such).

    A state dict says which numbers a network has, not what it does with them, so whatever would have to be
    guessed is refused: raises ArgumentError naming the tensor for a convolution, a normalisation, a tensor
    of no layer, layers that do not follow one another by their shapes, or an order that the names leave
    open; OSError when the file cannot be read.
    """
    content = path.read_bytes()
    try:
        state = safetensors.torch.load(content)
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise ArgumentError(f"{path} is no safetensors file: {error}") from None
    names = sorted((name for name in state if name.rpartition(".")[2] == "weight"), key=_natural)
    _check_linear(path, state, names)
    _check_chain(path, state, names)
    # In float64, which holds every number of the file: the certificate is of these, not of rounded ones.
    return [(_wide(state[name]), _maybe_wide(state.get(_bias_of(name)))) for name in names]


def _check_linear(path: Path, state: State, names: list[str]) -> None:
    """Raise ArgumentError unless the file holds the weights and biases of linear layers, and nothing else."""
    for name in names:
        shape, bias = tuple(state[name].shape), state.get(_bias_of(name))
        if len(shape) > 2:
            raise ArgumentError(
                f"{path}: {name!r} of shape {shape} is a convolution's, whose stride, padding and pooling no "
                "file of weights tells: construct its Sequential in Python, by tombola.theory.construct"
            )
        if len(shape) != 2:
            raise ArgumentError(
                f"{path}: {name!r} of shape {shape} is no linear layer's but, it seems, a normalisation's: "
                "expected linear layers alone, with weights of shape (out, in)"
            )
        if bias is not None and tuple(bias.shape) != shape[:1]:
            raise ArgumentError(
                f"{path}: expected {_bias_of(name)!r} of shape {shape[:1]}, got {tuple(bias.shape)}"
            )
    others = sorted(state.keys() - {*names, *map(_bias_of, names)}, key=_natural)
    if others or not names:
        raise ArgumentError(
            f"{path}: expected NAME.weight and NAME.bias of linear layers alone, got "
            f"{repr(others[0]) if others else 'nothing'}"
        )


def _check_chain(path: Path, state: State, names: list[str]) -> None:
    """Raise ArgumentError unless each layer reads what the one before it gives, and in no other order."""
    for before, name in pairwise(names):
        outputs, inputs = len(state[before]), state[name].shape[1]
        if inputs != outputs:
            raise ArgumentError(
                f"{path}: {name!r} has {inputs} inputs, {before!r} before it {outputs} outputs: expected "
                "layers that follow one another in the order of their names"
            )
    # Numbers say an order, other letters do not (decoder, encoder). What differs by its numbers alone keeps
    # together; between such runs the sizes have to leave one order only: none comes twice, but for one layer
    # of as many inputs as outputs.
    runs = [list(run) for _, run in groupby(names, key=lambda name: re.sub(r"\d+", "0", name))]
    sizes = [state[names[0]].shape[1], *(len(state[run[-1]]) for run in runs)]
    found = [(size, len(list(same))) for size, same in groupby(sizes)]
    if len(runs) > 1 and (len({size for size, _ in found}) < len(found) or max(n for _, n in found) > 2):
        raise ArgumentError(
            f"{path}: {runs[0][-1]!r} and {runs[1][0]!r} tell no order, and by their shapes the layers may "
            "stand in more than one: number them, as in 0.weight, 2.weight"
        )


def _bias_of(name: str) -> str:
    return name.removesuffix("weight") + "bias"


def _maybe_wide(tensor: torch.Tensor | None) -> torch.Tensor | None:
    return None if tensor is None else _wide(tensor)


def _wide(tensor: torch.Tensor) -> torch.Tensor:
    return tensor if tensor.is_complex() else tensor.double()


def _natural(name: str) -> list[Any]:
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]
