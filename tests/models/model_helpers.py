"""Looking into models without paying for their initialisation: everything on torch's meta device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def skeleton(builder: Callable[..., nn.Module], *args: Any, **kwargs: Any) -> nn.Module:
    """The model with shapes but no values."""
    with torch.device("meta"):
        return builder(*args, **kwargs)


def weight_shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Shapes of the weights of linear and convolutional layers, in the model's order."""
    return {name: tuple(p.shape) for name, p in model.named_parameters() if p.dim() > 1}


def weights(model: nn.Module) -> int:
    """How many numbers the weights of linear and convolutional layers hold, biases not counted."""
    return sum(p.numel() for p in model.parameters() if p.dim() > 1)


def parameters(model: nn.Module) -> int:
    """How many numbers all parameters hold."""
    return sum(p.numel() for p in model.parameters())


def meta_images(count: int, channels: int, size: int) -> Tensor:
    return torch.empty(count, channels, size, size, device="meta")


def sizes_after(model: nn.Module, images: Tensor, names: list[str]) -> list[int]:
    """The side of the square feature maps that leave the named submodules."""
    seen: dict[str, int] = {}

    def record(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            seen[name] = output.shape[-1]
            assert output.shape[-2] == output.shape[-1]

        return hook

    handles = [model.get_submodule(name).register_forward_hook(record(name)) for name in names]
    model(images)
    for handle in handles:
        handle.remove()
    return [seen[name] for name in names]
