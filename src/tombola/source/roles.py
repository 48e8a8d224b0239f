"""What each parameter of a model is: a random tensor with a fan-in, a bias of one, or fixed.

The one place that knows module types. Fan-ins as in docs/methods/sources.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from tombola.errors import ArgumentError


@dataclass(frozen=True)
class Weight:
    """A random tensor; one output sums over `fan_in` of its entries."""

    fan_in: float


@dataclass(frozen=True)
class Bias:
    """The bias of the weight called `weight` in the same module."""

    weight: str


@dataclass(frozen=True)
class Fixed:
    """Not random, not trained: `value` everywhere."""

    value: float


Role = Weight | Bias | Fixed


def _weight(fan_in: float) -> Weight:
    # At least 1, for a layer without inputs too.
    return Weight(max(1, fan_in))


def _linear(module: nn.Linear) -> dict[str, Role]:
    return {"weight": _weight(module.in_features), "bias": Bias("weight")}


def _bilinear(module: nn.Bilinear) -> dict[str, Role]:
    return {"weight": _weight(module.in1_features * module.in2_features), "bias": Bias("weight")}


def _convolution(module: _ConvNd) -> dict[str, Role]:
    fan_in = module.in_channels // module.groups * math.prod(module.kernel_size)
    return {"weight": _weight(fan_in), "bias": Bias("weight")}


def _transposed_convolution(module: _ConvTransposeNd) -> dict[str, Role]:
    taps = math.prod(module.kernel_size) / math.prod(module.stride)
    return {"weight": _weight(module.out_channels // module.groups * taps), "bias": Bias("weight")}


def _embedding(module: nn.Embedding | nn.EmbeddingBag) -> dict[str, Role]:
    if module.max_norm is not None or module.sparse:
        raise ArgumentError(
            f"{module} cannot be masked: max_norm rewrites frozen weights and sparse gradients reach no "
            "scores; make it without"
        )
    return {"weight": Weight(1)}


def _attention(module: nn.MultiheadAttention) -> dict[str, Role]:
    packed = module.in_proj_weight is not None
    return {
        "in_proj_weight": Weight(module.embed_dim),
        "q_proj_weight": Weight(module.embed_dim),
        "k_proj_weight": Weight(module.kdim or module.embed_dim),
        "v_proj_weight": Weight(module.vdim or module.embed_dim),
        "in_proj_bias": Bias("in_proj_weight" if packed else "q_proj_weight"),
        "bias_k": Fixed(0.0),
        "bias_v": Fixed(0.0),
    }


def _recurrent_cell(module: nn.RNNCellBase) -> dict[str, Role]:
    return {
        "weight_ih": _weight(module.input_size),
        "weight_hh": _weight(module.hidden_size),
        "bias_ih": Bias("weight_ih"),
        "bias_hh": Bias("weight_hh"),
    }


def _normalisation(module: nn.Module) -> dict[str, Role]:
    return {"weight": Fixed(1.0), "bias": Fixed(0.0)}


def _prelu(module: nn.PReLU) -> dict[str, Role]:
    return {"weight": Fixed(0.25)}


_NORMALISATIONS = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)

# The first match counts: transposed convolutions are convolutions too.
_KNOWN: tuple[tuple[type | tuple[type, ...], Callable[..., dict[str, Role]]], ...] = (
    (nn.Linear, _linear),
    (nn.Bilinear, _bilinear),
    (_ConvTransposeNd, _transposed_convolution),
    (_ConvNd, _convolution),
    ((nn.Embedding, nn.EmbeddingBag), _embedding),
    (nn.MultiheadAttention, _attention),
    (nn.RNNCellBase, _recurrent_cell),
    (_NORMALISATIONS, _normalisation),
    (nn.PReLU, _prelu),
)


def roles(module: nn.Module) -> dict[str, Role]:
    """The roles of a module's own parameters, by attribute; empty for a type not known.

    Raises ArgumentError for a recurrent network, whose weights are reached past their attributes, and an
    embedding that rewrites them or has sparse gradients.
    """
    if isinstance(module, nn.RNNBase):
        raise ArgumentError(
            f"{type(module).__name__} keeps a list of its weights beside their attributes, which no mask "
            f"safely reaches; use {type(module).__name__}Cell in a loop"
        )
    return next((describe(module) for kind, describe in _KNOWN if isinstance(module, kind)), {})


def role_of(
    name: str,
    attribute: str,
    module: nn.Module,
    fan_in: Mapping[str, float],
    fixed: Mapping[str, float],
) -> Role | None:
    """The role of one parameter: what the user's patterns say, else what its module's type says, else None.

    Raises ArgumentError for a module that no mask reaches, as `roles`.
    """
    for pattern, value in fixed.items():
        if fnmatchcase(name, pattern):
            return Fixed(float(value))
    role = roles(module).get(attribute)  # which refuses some modules, whatever their fan-in
    for pattern, value in fan_in.items():
        if fnmatchcase(name, pattern):
            return Weight(float(value))
    return role
