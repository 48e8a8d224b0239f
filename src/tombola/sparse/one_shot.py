"""Pruning at initialisation, in one shot: a source and a density -> a mask, for `Static` to train.

>>> import torch, tombola
>>> source = tombola.Source(torch.nn.Linear(3, 2), seed=0)
>>> tombola.sparse.magnitude(source, 0.5).kept
3
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from tombola.errors import ArgumentError
from tombola.mask import Mask
from tombola.search.counts import LayerDensity
from tombola.source.density import AnyRule, check_density
from tombola.source.network import Source
from tombola.sparse.base import check_free, searched_names
from tombola.sparse.options import check_steps
from tombola.sparse.ranking import counts_in, keep_best, magnitudes, random_ranks

Loss = Callable[[nn.Module], torch.Tensor]
"""model -> its loss on some examples, a scalar: `lambda model: cross_entropy(model(x), y)`."""


def magnitude(
    source: Source,
    density: LayerDensity,
    loss: Loss | None = None,
    *,
    rule: AnyRule | None = None,
    scope: str = "layer",
) -> Mask:
    """The weights of greatest |w|; `loss` is not asked, and there for all criteria to be called alike.

    Parameters, here and below: `source`, attached and free; `density`, the fraction kept of all weights or
    {layer name: fraction}; `rule`, its layerwise rule as in `densities` (None thins the source evenly);
    `scope`, `layer`, each layer ranked by itself, or `global`, all weights together with the same total. The
    source is left as it was. Raises ArgumentError for an option out of range, a loss that is no scalar of the
    weights, and scores that are no numbers.
    """
    del loss
    check_free(source)
    ranks = {}
    for name, values in magnitudes(source, searched_names(source)).items():
        # Less than the spacing of float32: of equal magnitudes (signed constants have one) any may win,
        # where the lower index alone would leave whole neurons without an edge.
        lot = random_ranks(source, name, "magnitude") * 2.0**-58
        ranks[name] = values.double() * (1.0 + lot)
    return _kept(source, ranks, density, rule, scope)


def random(
    source: Source,
    density: LayerDensity,
    loss: Loss | None = None,
    *,
    rule: AnyRule | None = None,
    scope: str = "layer",
) -> Mask:
    """Weights drawn from the source's seed; `loss` is not asked. Parameters as in `magnitude`."""
    del loss
    check_free(source)
    ranks = {name: random_ranks(source, name, "sparse") for name in searched_names(source)}
    return _kept(source, ranks, density, rule, scope)


def snip(
    source: Source, density: LayerDensity, loss: Loss, *, rule: AnyRule | None = None, scope: str = "global"
) -> Mask:
    """The weights of greatest |∂L/∂w · w|: without which the loss would change most.

    Lee et al., "SNIP: single-shot network pruning based on connection sensitivity", ICLR 2019, equation 5.
    Parameters as in `magnitude`.
    """
    with _trainable(source) as weights:
        gradients = _gradients(_value(source, loss), weights)
        scores = {name: (gradients[name] * weight).detach().abs() for name, weight in weights.items()}
    return _kept(source, scores, density, rule, scope)


def grasp(
    source: Source, density: LayerDensity, loss: Loss, *, rule: AnyRule | None = None, scope: str = "global"
) -> Mask:
    """The weights of greatest w · Hg, g the gradient and H the Hessian of the loss: without which the norm of
    the gradient would fall most.

    Wang et al., "Picking winning tickets before training by preserving gradient flow", ICLR 2020, equation 8
    and algorithm 1, which prunes where -w · Hg is greatest. (It divides the logits by a temperature of
    200: that is for `loss` to do.) Parameters as in `magnitude`.
    """
    # The fused kernels of attention have no second derivative.
    with _trainable(source) as weights, torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        gradients = _gradients(_value(source, loss), weights, create_graph=True)
        norm = torch.stack([(g.detach() * g).sum() for g in gradients.values()]).sum()
        products = _gradients(norm, weights) if norm.requires_grad else dict.fromkeys(weights, norm * 0)
        scores = {name: (products[name] * weight).detach() for name, weight in weights.items()}
    return _kept(source, scores, density, rule, scope)


def synflow(source: Source, density: float, loss: Loss, *, rounds: int = 100, scope: str = "global") -> Mask:
    """The weights of greatest ∂R/∂|w| · |w|, R the sum of the outputs of the network of |w| on an input of
    ones: needs no data, and prunes a little in each of `rounds`, so that no layer is lost.

    Tanaka et al., "Pruning neural networks without any data by iteratively conserving synaptic flow", NeurIPS
    2020, algorithm 1. Computed in float64, in evaluation mode. `loss` is called once, for the shape of what
    it gives the model; inputs of integers (tokens) are taken as they come. The other parameters as in
    `magnitude`.
    """
    check_free(source)
    check_steps("rounds", rounds)
    counts_in(source, check_density(density), scope=scope)  # better refused now than on the way
    names = searched_names(source)
    with _trainable(source) as weights:
        source.model.eval()  # first: in training mode, `loss` would leave its data in the statistics
        flow = _Flow(source.model, weights, loss)
        kept = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()}
        for number in range(1, rounds + 1):
            scores = flow.scores(kept)
            ranks = {name: torch.where(kept[name], scores[name], -torch.inf) for name in names}
            reached = source.density * (density / source.density) ** (number / rounds)
            kept = keep_best(source, ranks, density if number == rounds else reached, scope=scope)
    return _mask(source, kept)


class _Flow:
    """The network of |w|, in float64, on one input of ones. The model itself stays as it is."""

    def __init__(self, model: nn.Module, weights: dict[str, torch.Tensor], loss: Loss) -> None:
        self._model = model
        self._arguments, self._options = _inputs(model, loss)
        full_names = {id(parameter): name for name, parameter in model.named_parameters()}
        self._full = {name: full_names[id(weight)] for name, weight in weights.items()}
        tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        self._state = {
            name: tensor.detach().double().abs() if name in full_names.values() else tensor.double()
            for name, tensor in tensors.items()
            if tensor.is_floating_point()
        }

    def scores(self, kept: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """∂R/∂|w| · |w| of every weight, where `kept` are left; float64."""
        flows = {
            name: (self._state[full] * kept[name]).requires_grad_(True) for name, full in self._full.items()
        }
        state = {**self._state, **{self._full[name]: flow for name, flow in flows.items()}}
        try:
            outputs = torch.func.functional_call(self._model, state, self._arguments, self._options)
        except RuntimeError as error:
            raise ArgumentError(f"synflow needs a model that computes in float64: {error}") from None
        if not isinstance(outputs, torch.Tensor):
            raise ArgumentError(f"synflow needs a model that gives one tensor, got {type(outputs).__name__}")
        gradients = _gradients(outputs.sum(), flows)
        return {name: (gradients[name] * flow).detach() for name, flow in flows.items()}


def _inputs(model: nn.Module, loss: Loss) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What `loss` gives the model, one example of it, with ones in the place of real numbers."""
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    handle = model.register_forward_pre_hook(
        lambda _, arguments, options: calls.append((arguments, options)), with_kwargs=True
    )
    try:
        with torch.no_grad():
            loss(model)
    finally:
        handle.remove()
    if not calls:
        raise ArgumentError("loss must call the model it is given, to show the shape of its inputs")

    def one(value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or not value.ndim:
            return value
        return torch.ones_like(value[:1], dtype=torch.float64) if value.is_floating_point() else value[:1]

    arguments, options = calls[0]
    return tuple(one(value) for value in arguments), {name: one(value) for name, value in options.items()}


@contextmanager
def _trainable(source: Source) -> Iterator[dict[str, torch.Tensor]]:
    """The weights that take part, by name, with gradients for a while; the model is then as it was."""
    check_free(source)
    weights: dict[str, torch.Tensor] = {name: source.parameter(name) for name in searched_names(source)}
    modes = {module: module.training for module in source.model.modules()}
    buffers = source.buffers.state()
    for weight in weights.values():
        weight.requires_grad_(True)
    try:
        with torch.enable_grad():
            yield weights
    finally:
        for weight in weights.values():
            weight.requires_grad_(False)
        for module, mode in modes.items():
            module.training = mode
        source.buffers.load_state(buffers)


def _value(source: Source, loss: Loss) -> torch.Tensor:
    value = loss(source.model)
    if not isinstance(value, torch.Tensor) or value.numel() != 1 or not value.requires_grad:
        came = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else repr(value)
        raise ArgumentError(f"loss must give a scalar tensor that depends on the weights, got {came}")
    return value.sum()


def _gradients(
    value: torch.Tensor, weights: Mapping[str, torch.Tensor], create_graph: bool = False
) -> dict[str, torch.Tensor]:
    """∂value/∂weight by name; 0 for a weight that it does not depend on."""
    found = torch.autograd.grad(
        value, list(weights.values()), create_graph=create_graph, allow_unused=True, materialize_grads=True
    )
    return dict(zip(weights, found, strict=True))


def _kept(
    source: Source, ranks: Mapping[str, torch.Tensor], density: LayerDensity, rule: AnyRule | None, scope: str
) -> Mask:
    return _mask(source, keep_best(source, ranks, density, rule=rule, scope=scope))


def _mask(source: Source, kept: Mapping[str, torch.Tensor]) -> Mask:
    """With the tensors that take no part: all of them."""
    return Mask({**source.mask, **{name: mask.cpu().numpy() for name, mask in kept.items()}})
