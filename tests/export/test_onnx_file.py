"""The ONNX file: what onnxruntime computes from it, and when none is written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from export_helpers import ticket_of_case
from torch import nn

import tombola
from builders import CASES, conv_batch_norm
from tombola import ArgumentError, Source, Ticket, TicketError, TombolaError
from tombola.export import to_onnx
from tombola.export.agreement import BATCHES, compare, onnx_outputs, sample_inputs


def test_onnxruntime_computes_what_torch_does(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ticket, path, model = ticket_of_case("conv"), tmp_path / "n.onnx", conv_batch_norm()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    written = to_onnx(ticket, path, model, (3, 8, 8))
    assert capfd.readouterr() == ("", "")
    assert [file.name for file in tmp_path.iterdir()] == ["n.onnx"]  # the weights are inside
    assert written.nbytes == path.stat().st_size
    assert written.difference <= 1e-5 * written.scale

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    plain = ticket.apply(conv_batch_norm()).eval()
    for size in (1, 3, 16):
        x = torch.randn(size, 3, 8, 8, generator=torch.Generator().manual_seed(size))
        with torch.no_grad():
            expected = plain(x).numpy()
        (got,) = session.run(["output"], {"input": x.numpy()})
        assert np.abs(got - expected).max() <= 1e-5 * np.abs(expected).max()

    assert model.training  # the user's model is as it was
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_the_file_says_what_it_must_and_no_more(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU())
    ticket = tombola.EdgePopup(Source(model), 0.5).ticket()
    to_onnx(ticket, tmp_path / "n.onnx", nn.Sequential(nn.Linear(6, 4), nn.ReLU()), [6])
    proto = onnx.load(tmp_path / "n.onnx")
    onnx.checker.check_model(proto, full_check=True)
    assert [(opset.domain, opset.version) for opset in proto.opset_import] == [("", 18)]
    (given,), (result,) = proto.graph.input, proto.graph.output
    assert (given.name, result.name) == ("input", "output")
    assert [dim.dim_param or dim.dim_value for dim in given.type.tensor_type.shape.dim] == ["N", 6]
    assert [dim.dim_param or dim.dim_value for dim in result.type.tensor_type.shape.dim] == ["N", 4]
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    assert any(np.array_equal(array, ticket.weights()["0.weight"]) for array in weights.values())
    # The exporter notes the stack of every operation, with the paths of the machine.
    assert b".py" not in (tmp_path / "n.onnx").read_bytes()


class TwoFaced(nn.Module):
    """Computes something else when it is exported."""

    def __init__(self, error: float) -> None:
        super().__init__()
        self.fc, self.error = nn.Linear(3, 2), error

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.fc(x)
        return y * (1 + self.error) if torch.compiler.is_exporting() else y


def test_a_model_that_comes_out_different_is_not_written(tmp_path: Path) -> None:
    ticket, path = tombola.EdgePopup(Source(TwoFaced(0)), 0.5).ticket(), tmp_path / "n.onnx"
    path.write_bytes(b"old")
    with pytest.raises(TombolaError, match=r"differ from torch's by .*e-0., more than 1e-05 of the greatest"):
        to_onnx(ticket, path, TwoFaced(2e-5), (3,))
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["n.onnx"]


def pairs(*outputs: list[float]) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
    return [np.array(output, dtype=np.float32) for output in outputs]


def test_differences_are_measured_against_the_greatest_output() -> None:
    difference, scale = compare(pairs([1, -4], [0.5]), pairs([1, -4.00003], [0.5]))
    assert (round(difference, 6), scale) == (3e-5, 4.0)
    assert compare(pairs([0, 0]), pairs([0, 0])) == (0, 0)
    for ours, theirs in ([1.0], [1.00002]), ([0.01], [0.010001]), ([0.0], [1e-9]), ([1.0], [float("nan")]):
        with pytest.raises(TombolaError, match="the exported model's outputs differ from torch's by"):
            compare(pairs(ours), pairs(theirs))
    with pytest.raises(TombolaError, match=r"gives outputs \(1,\) where torch gives \(2,\)"):
        compare(pairs([1, 2]), pairs([1]))


def test_the_inputs_compared_are_random_and_the_same_every_time() -> None:
    first, again = sample_inputs((3, 20, 20)), sample_inputs((3, 20, 20))
    assert [values.shape for values in first] == [(size, 3, 20, 20) for size in BATCHES]
    assert sorted(BATCHES) == [1, 2, 5]
    for values, same in zip(first, again, strict=True):
        assert values.dtype == np.float32
        assert np.array_equal(values, same)
        assert abs(values.mean()) < 0.1
        assert abs(values.std() - 1) < 0.1
    assert not np.array_equal(first[0][0], first[1][0])


class Odd(nn.Module):
    """A linear layer, and then what a test makes of its output."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.fc, self.kind = nn.Linear(3, 2), kind

    def forward(self, x: torch.Tensor) -> Any:
        y = self.fc(x)
        match self.kind:
            case "tuple":
                return y, y
            case "double":
                return y.double()
            case "infinite":
                return y / 0
            case "branch":
                return y if y.sum() > 0 else -y
        return y


@pytest.mark.parametrize(
    ("kind", "shape", "error", "message"),
    [
        ("tuple", (3,), ArgumentError, "must give one float32 tensor, got tuple"),
        ("double", (3,), ArgumentError, "must give one float32 tensor, got torch.float64"),
        ("infinite", (3,), ArgumentError, "outputs are not finite"),
        ("plain", (4,), ArgumentError, r"does not take inputs \(N, 4\): RuntimeError: mat1 and mat2"),
        ("branch", (3,), TombolaError, "cannot be exported to ONNX: Guard.*data-dependent"),
    ],
)
def test_models_that_cannot_be_exported(
    kind: str,
    shape: tuple[int, ...],
    error: type[Exception],
    message: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    ticket = tombola.EdgePopup(Source(Odd("plain")), 0.5).ticket()
    with pytest.raises(error, match=message) as caught:
        to_onnx(ticket, tmp_path / "n.onnx", Odd(kind), shape)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_another_architecture_and_an_attached_model_are_refused(tmp_path: Path) -> None:
    ticket = ticket_of_case("conv")
    with pytest.raises(TicketError, match="another architecture"):
        to_onnx(ticket, tmp_path / "n.onnx", CASES["mlp"].build(), (12,))
    attached = conv_batch_norm()
    Source(attached)
    with pytest.raises(TicketError, match="apply a ticket to a plain model"):
        to_onnx(ticket, tmp_path / "n.onnx", attached, (3, 8, 8))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named_by_its_extra(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket: Ticket = ticket_of_case("conv")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        TombolaError, match=r"exporting to ONNX needs packages .*: pip install 'tombola\[export\]'"
    ):
        to_onnx(ticket, tmp_path / "n.onnx", conv_batch_norm(), (3, 8, 8))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_onnxruntime_cannot_run() -> None:
    with pytest.raises(TombolaError, match="onnxruntime cannot run the exported model: "):
        onnx_outputs(b"no model", [np.zeros((1, 1), np.float32)])
