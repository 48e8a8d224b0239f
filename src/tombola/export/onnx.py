"""Ticket -> an ONNX file with its weights inside, compared with torch before it is written."""

from __future__ import annotations

import io
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tombola.errors import TombolaError, missing_extra
from tombola.files import write_atomically
from tombola.ticket import Ticket

OPSET = 18
"""The version of the operators: the one that torch's exporter is written in, so nothing is converted."""


@dataclass(frozen=True)
class OnnxFile:
    """What was written: its size in bytes, the greatest |difference| between outputs of onnxruntime and
    of torch over the random inputs compared, and the greatest |output| of torch.
    """

    nbytes: int
    difference: float
    scale: float


def to_onnx(
    ticket: Ticket, path: str | os.PathLike[str], model: nn.Module, input_shape: Sequence[int]
) -> OnnxFile:
    """Write the network as an ONNX model of one float32 `input` (N, *input_shape), N free, and one
    `output`.

    `model` is a plain one of the architecture; a copy of it takes the ticket's weights, in evaluation
    mode on the CPU. The exporter folds batch normalisation into the layer before it, so the file's
    weights are not the ticket's bit for bit. What it computes is: for standard normal inputs in
    batches of 1, 2 and 5, the greatest |difference| between onnxruntime's outputs and torch's must be at
    most 1e-5 times the greatest |output|.

    Raises TicketError where the architecture does not fit; ArgumentError where the model does not take
    such inputs; TombolaError where packages are missing, the exporter gives up or the outputs differ;
    OSError. Nothing is written then, and an old file left intact.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401

        from tombola.export import agreement
    except ModuleNotFoundError as error:
        if error.name not in ("onnx", "onnxscript", "onnxruntime"):
            raise
        raise missing_extra("exporting to ONNX", "export") from None
    network = ticket.apply(deepcopy(model).to("cpu", torch.float32)).eval()
    inputs = agreement.sample_inputs(input_shape)
    expected = agreement.torch_outputs(network, inputs)
    try:
        encoded = _encode(network, torch.from_numpy(inputs[0]))
    except Exception as error:
        raise TombolaError(f"the model cannot be exported to ONNX: {agreement.in_short(error)}") from error
    difference, scale = agreement.compare(expected, agreement.onnx_outputs(encoded, inputs))
    write_atomically(path, encoded)
    return OnnxFile(len(encoded), difference, scale)


def _encode(network: nn.Module, example: torch.Tensor) -> bytes:
    with _silence(), torch.no_grad():
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("N")},),
            input_names=["input"],
            output_names=["output"],
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    _strip(proto)
    encoded: bytes = proto.SerializeToString(deterministic=True)
    return encoded


def _strip(message: Any) -> None:
    """Take the notes out of a protobuf message: stack traces with the paths of this machine among them."""
    for field, value in message.ListFields():
        if field.name in ("metadata_props", "doc_string"):
            message.ClearField(field.name)
        elif field.message_type is not None:
            for part in value if hasattr(value, "__len__") else (value,):
                _strip(part)


@contextmanager
def _silence() -> Iterator[None]:
    """Nothing printed, warned of or logged: the exporter reports to its authors, with whole graphs."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
