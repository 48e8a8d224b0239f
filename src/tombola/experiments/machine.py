"""What the machine does: device, precision, threads, memory layout."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import nn

from tombola.errors import ArgumentError
from tombola.experiments.config import RunConfig
from tombola.experiments.heap import keep_freed_memory

Config = TypeVar("Config", bound=RunConfig)
_VECTOR = 16
"""Channels that a processor takes at a time: 16 with AVX-512, 8 with AVX2."""


def resolve(config: Config) -> Config:
    """`config` with device, precision and threads settled for this machine.

    Raises ArgumentError for a GPU that is not there.
    """
    device = config.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ArgumentError("device cuda was asked for, but torch finds no GPU")
    precision = config.precision
    if precision == "auto":
        precision = "bfloat16" if has_bfloat16(device) else "float32"
    threads = config.threads or (torch.get_num_threads() if device == "cpu" else None)
    return replace(config, device=device, precision=precision, threads=threads)


def emulation(config: RunConfig) -> str | None:
    """A line about the precision of `config`, resolved, where this machine only emulates it; None where it
    has it, or where that is not known: `has_bfloat16` asks processors for the names of x86.
    """
    if config.precision != "bfloat16" or has_bfloat16(config.device):
        return None
    if config.device == "cpu" and torch.cpu.get_capabilities().get("architecture") != "x86_64":
        return None
    computes = "GPU" if config.device == "cuda" else "processor"
    return f"precision bfloat16 is emulated by this machine's {computes}, many times slower than float32"


def has_bfloat16(device: str) -> bool:
    """Whether the processor or GPU multiplies bfloat16 natively."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


@dataclass(frozen=True)
class Machine:
    """A settled configuration's device, put to work by `prepare`."""

    device: str
    precision: str
    channels_last: bool

    @classmethod
    def prepare(cls, config: RunConfig) -> Machine:
        """Set threads and determinism as `config`, resolved, says; on a CPU, keep freed memory."""
        if config.threads is not None:
            torch.set_num_threads(config.threads)
        if config.deterministic:
            # cuBLAS is deterministic only with a workspace of fixed size, read when a GPU is first used.
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True)
        if config.device == "cpu":
            keep_freed_memory()
        # Measured on a CPU: Conv-6 steps take 0.6 of the time in channels-last, at either precision. GPUs
        # gain with bfloat16.
        return cls(config.device, config.precision, config.device == "cpu" or config.precision == "bfloat16")

    def trains_channels_last(self, model: nn.Module) -> bool:
        """Whether training batches for `model` are laid out channels-last: as `channels_last`, but not where
        oneDNN would write outside of its memory (its issue 6035, in torch 2.13): on processors with AVX2 in
        the gradient of a 1 × 1 convolution with a stride and fewer input channels than a vector takes, as in
        the shortcuts of a narrow ResNet. Seen as crashes; the issue tells of wrong gradients, too.
        """
        overrun = self.device == "cpu" and any(
            isinstance(layer, nn.Conv2d)
            and layer.kernel_size == (1, 1)
            and layer.stride != (1, 1)
            and layer.in_channels // layer.groups < _VECTOR
            for layer in model.modules()
        )
        return self.channels_last and not overrun

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which the network computes."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device, dtype=torch.bfloat16)


def random_state() -> dict[str, torch.Tensor]:
    """The state of torch's own generators, which a user's model may draw from."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: dict[str, torch.Tensor]) -> None:
    """Go on from `random_state()`."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
