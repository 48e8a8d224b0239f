"""Whether an ONNX model computes what the torch model does: both run on the same random inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnxruntime
import torch
from torch import nn

from tombola.errors import ArgumentError, TombolaError
from tombola.rng import Stream
from tombola.source.init import FloatArray, draw

TOLERANCE = 1e-5
"""The greatest difference allowed, as a fraction of the greatest absolute output of torch."""

BATCHES = (2, 1, 5)
"""Batch sizes compared. The model is traced with the first: 1 would be taken for a constant."""


def sample_inputs(shape: Sequence[int]) -> list[FloatArray]:
    """Standard normal float32 inputs (N, *shape), one array for each N of `BATCHES`; always the same."""
    return [
        draw(
            "kaiming_normal", Stream(0, "input", "export", size).words(size * math.prod(shape)), 2.0
        ).reshape(size, *shape)
        for size in BATCHES
    ]


def torch_outputs(network: nn.Module, inputs: Sequence[FloatArray]) -> list[FloatArray]:
    """What the torch model gives for each input.

    Raises ArgumentError where it does not take them, gives other than one float32 tensor, or gives
    something that is not finite.
    """
    outputs = []
    for values in inputs:
        shape = ", ".join(["N", *map(str, values.shape[1:])])
        try:
            with torch.no_grad():
                output = network(torch.from_numpy(values))
        except Exception as error:
            raise ArgumentError(f"the model does not take inputs ({shape}): {in_short(error)}") from error
        if not isinstance(output, torch.Tensor) or output.dtype != torch.float32:
            came = output.dtype if isinstance(output, torch.Tensor) else type(output).__name__
            raise ArgumentError(f"the model must give one float32 tensor, got {came}")
        if not output.isfinite().all():
            raise ArgumentError("the model's outputs are not finite: nothing to compare ONNX with")
        outputs.append(output.numpy())
    return outputs


def onnx_outputs(encoded: bytes, inputs: Sequence[FloatArray]) -> list[FloatArray]:
    """What onnxruntime gives for each input, on the CPU. Raises TombolaError where it cannot."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # its idle threads spin, which starves others on shared cores
    options.log_severity_level = 3  # errors come as exceptions
    try:
        session = onnxruntime.InferenceSession(encoded, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return [session.run(None, {name: values})[0] for values in inputs]
    except Exception as error:
        raise TombolaError(f"onnxruntime cannot run the exported model: {in_short(error)}") from error


def compare(expected: Sequence[FloatArray], got: Sequence[FloatArray]) -> tuple[float, float]:
    """The greatest |difference| of torch's outputs and ONNX's, and the greatest |output| of torch.

    Raises TombolaError when the first is more than `TOLERANCE` times the second, or shapes differ.
    """
    for ours, theirs in zip(expected, got, strict=True):
        if ours.shape != theirs.shape:
            raise TombolaError(
                f"the exported model gives outputs {theirs.shape} where torch gives {ours.shape}: "
                "it does not follow the batch size"
            )
    difference = max(float(np.abs(a - b).max(initial=0)) for a, b in zip(expected, got, strict=True))
    scale = max(float(np.abs(ours).max(initial=0)) for ours in expected)
    if not difference <= TOLERANCE * scale:  # so that NaN is refused too
        raise TombolaError(
            f"the exported model's outputs differ from torch's by {difference:.3g}, more than "
            f"{TOLERANCE:g} of the greatest output, {scale:.3g}; nothing is written"
        )
    return difference, scale


def in_short(error: BaseException) -> str:
    """The type of what first went wrong and the first line that it says."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
