"""What an Erdős–Rényi source came out as: densities asked for, expected and drawn, and dead neurons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from tombola.mask import BoolArray
from tombola.rng import WORD_RANGE
from tombola.source.plan import Layer
from tombola.source.recipe import RandomTensor

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LayerSummary:
    """One layer of a source: `weights` m_l; `asked`, the p_l of its rule; `expected`, what the source draws
    with (p_l to 2^-33, or the exact count over m_l); `drawn`, the fraction of weights that are alive; how
    many input and output neurons (channels) have no edge left.
    """

    name: str
    weights: int
    asked: float
    expected: float
    drawn: float
    dead_inputs: int
    dead_outputs: int


def summarise_layer(
    layer: Layer, asked: float, module: nn.Module, alive: Mapping[str, BoolArray]
) -> LayerSummary:
    """The summary of a layer, whose first tensor belongs to `module`."""
    weight = layer.tensors[0]
    inputs, outputs = edges(alive[weight.name], module)
    return LayerSummary(
        layer.name,
        layer.size,
        asked,
        sum(_expected(tensor) for tensor in layer.tensors) / max(1, layer.size),
        sum(int(np.count_nonzero(alive[tensor.name])) for tensor in layer.tensors) / max(1, layer.size),
        int(np.count_nonzero(inputs == 0)),
        int(np.count_nonzero(outputs == 0)),
    )


def edges(alive: BoolArray, module: nn.Module) -> tuple[Counts, Counts]:
    """How many edges each input and each output of a weight tensor has.

    Linear layers and convolutions have (out, in / groups, kernel …), transposed convolutions (in, out /
    groups, kernel …), embeddings (in, out).
    """
    if alive.ndim < 2 or not alive.size:  # no inputs and outputs to speak of
        return np.ones(1, dtype=np.int64), np.ones(1, dtype=np.int64)
    groups = module.groups if isinstance(module, _ConvNd) else 1
    pairs = np.count_nonzero(alive.reshape(groups, alive.shape[0] // groups, alive.shape[1], -1), axis=-1)
    first, second = pairs.sum(2).reshape(-1), pairs.sum(1).reshape(-1)
    if isinstance(module, (_ConvTransposeNd, nn.Embedding, nn.EmbeddingBag)):
        return first, second
    return second, first


def _expected(tensor: RandomTensor) -> float:
    if tensor.alive_count is not None:
        return tensor.alive_count
    return tensor.size * tensor.alive_words / WORD_RANGE
