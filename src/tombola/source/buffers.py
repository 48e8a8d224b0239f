"""A model's own buffers: normalisation statistics, which a ticket stores, and the rest, which it does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from tombola.source.init import FloatArray
from tombola.source.parameters import dotted


class Buffers:
    """The buffers of `model` as they are, without those that a source or a search has put in."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._first = {name: buffer.clone() for name, buffer in self._unstored()}

    def statistics(self) -> dict[str, FloatArray]:
        """The running statistics of the normalisation layers, as float32 arrays by buffer name."""
        return {
            name: buffer.float().cpu().numpy().copy()
            for name, buffer in statistics_buffers(self._model).items()
            if buffer.is_floating_point()
        }

    def reset_statistics(self) -> None:
        """Set every normalisation layer's statistics to those of a layer that has seen nothing."""
        for module in self._model.modules():
            if isinstance(module, _NormBase):
                module.reset_running_stats()

    def state(self) -> dict[str, torch.Tensor]:
        """Copies of all buffers (batch counters too), to resume from."""
        return {name: buffer.clone() for name, buffer in self._own()}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Set all buffers to those of `state()`, but for caches that have another shape now."""
        kept = self.kept()
        for name, buffer in self._own():
            saved = state.get(name)
            if name in kept or (isinstance(saved, torch.Tensor) and saved.shape == buffer.shape):
                buffer.copy_(state[name])

    def kept(self) -> dict[str, torch.Tensor]:
        """The buffers that the model itself saves, by name: not those that are `persistent=False`, caches."""
        passing = {
            dotted(prefix, attribute)
            for prefix, module in self._model.named_modules()
            for attribute in module._non_persistent_buffers_set
        }
        return {name: buffer for name, buffer in self._own() if name not in passing}

    def changed(self) -> list[str]:
        """The buffers that no ticket stores and that are other than when this object was made."""
        return [
            name
            for name, buffer in self._unstored()
            if name not in self._first or not torch.equal(buffer, self._first[name].to(buffer))
        ]

    def _own(self) -> Iterator[tuple[str, torch.Tensor]]:
        return ((n, b) for n, b in self._model.named_buffers() if ".parametrizations." not in f".{n}")

    def _unstored(self) -> Iterator[tuple[str, torch.Tensor]]:
        statistics = statistics_buffers(self._model)
        return ((name, buffer) for name, buffer in self._own() if name not in statistics)


def statistics_buffers(model: nn.Module) -> dict[str, torch.Tensor]:
    """The buffers of all normalisation layers by dotted name, in model order."""
    return {
        dotted(prefix, attribute): buffer
        for prefix, module in model.named_modules()
        if isinstance(module, _NormBase)
        for attribute, buffer in module.named_buffers(recurse=False)
    }
