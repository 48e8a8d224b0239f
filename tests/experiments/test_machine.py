"""Device, precision and threads: settled once, recorded, and put to work."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from tombola import data
from tombola.errors import ArgumentError
from tombola.experiments import machine
from tombola.experiments.config import Device, RunConfig
from tombola.experiments.loop import training_batches
from tombola.experiments.machine import Machine, emulation, random_state, resolve, set_random_state
from tombola.experiments.run import build_model
from tombola.experiments.train_config import TrainConfig


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("native", [True, False])
def test_auto_is_settled(monkeypatch: pytest.MonkeyPatch, native: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine, "has_bfloat16", lambda device: native and device == "cpu")
    settled = resolve(RunConfig())
    assert (settled.device, settled.precision) == ("cpu", "bfloat16" if native else "float32")
    assert settled.threads == torch.get_num_threads()


def test_what_is_given_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "has_bfloat16", lambda _: True)
    settled = resolve(RunConfig(device="cpu", precision="float32", threads=3))
    assert (settled.device, settled.precision, settled.threads) == ("cpu", "float32", 3)


@pytest.mark.parametrize(("device", "computes"), [("cpu", "processor"), ("cuda", "GPU")])
def test_an_arithmetic_that_is_emulated_is_told(
    monkeypatch: pytest.MonkeyPatch, device: Device, computes: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"architecture": "x86_64"})
    monkeypatch.setattr(machine, "has_bfloat16", lambda asked: asked != device)
    told = emulation(RunConfig(device=device, precision="bfloat16"))
    assert told is not None
    assert told.startswith(f"precision bfloat16 is emulated by this machine's {computes}, ")
    assert emulation(RunConfig(device=device, precision="float32")) is None
    assert emulation(RunConfig(device="cpu" if device == "cuda" else "cuda", precision="bfloat16")) is None


def test_nothing_is_said_of_processors_that_tell_bfloat16_by_other_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"architecture": "aarch64", "bf16": True})
    assert emulation(RunConfig(device="cpu", precision="bfloat16")) is None


def test_a_gpu_is_taken_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    settled = resolve(RunConfig())
    assert (settled.device, settled.precision, settled.threads) == ("cuda", "bfloat16", None)
    assert resolve(RunConfig(device="cpu")).device == "cpu"


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ArgumentError, match="torch finds no GPU"):
        resolve(RunConfig(device="cuda"))


@pytest.mark.parametrize("capabilities", [{}, {"avx512_bf16": True}, {"amx_bf16": True}])
def test_native_bfloat16(monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool]) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert machine.has_bfloat16("cpu") is bool(capabilities)


def test_threads_and_layout_are_put_to_work() -> None:
    made = Machine.prepare(RunConfig(device="cpu", precision="float32", threads=2))
    assert torch.get_num_threads() == 2
    assert made == Machine("cpu", "float32", channels_last=True)
    assert Machine.prepare(RunConfig(device="cuda", precision="bfloat16", threads=1)).channels_last
    assert torch.get_num_threads() == 1
    assert not Machine.prepare(RunConfig(device="cuda", precision="float32")).channels_last


def test_freed_memory_is_kept_on_a_cpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(machine, "keep_freed_memory", lambda: calls.append("kept"))
    Machine.prepare(RunConfig(device="cuda", precision="float32"))
    assert not calls
    Machine.prepare(RunConfig(device="cpu", precision="float32"))
    assert calls == ["kept"]


def test_deterministic_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """cuBLAS refuses to work deterministically without a workspace of fixed size."""
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    Machine.prepare(RunConfig(device="cpu", precision="float32"))
    assert not torch.are_deterministic_algorithms_enabled()
    Machine.prepare(RunConfig(device="cpu", precision="float32", deterministic=True))
    assert torch.are_deterministic_algorithms_enabled()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_the_state_of_torchs_generators_comes_back() -> None:
    state = random_state()
    first = torch.rand(3)
    set_random_state(state)
    assert torch.equal(torch.rand(3), first)
    assert not torch.equal(torch.rand(3), first)


@pytest.mark.parametrize(
    ("layer", "overrun"),
    [
        (nn.Conv2d(4, 8, 1, stride=2), True),
        (nn.Conv2d(15, 30, 1, stride=2), True),
        (nn.Conv2d(32, 32, 1, stride=2, groups=8), True),
        (nn.Conv2d(16, 32, 1, stride=2), False),
        (nn.Conv2d(4, 8, 1), False),
        (nn.Conv2d(4, 8, 3, stride=2), False),
    ],
)
def test_layers_whose_gradient_overruns_in_channels_last(layer: nn.Module, overrun: bool) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(layer))
    assert Machine("cpu", "float32", channels_last=True).trains_channels_last(model) is not overrun
    assert Machine("cuda", "bfloat16", channels_last=True).trains_channels_last(model)
    assert not Machine("cpu", "float32", channels_last=False).trains_channels_last(model)


@pytest.mark.parametrize(("model", "last"), [("resnet18", False), ("conv2", True)])
def test_the_batches_of_a_run_are_laid_out_for_its_model(model: str, last: bool) -> None:
    config, digits = TrainConfig(data="digits", device="cpu", precision="float32"), data.load("digits")
    network = build_model(model, 0.06, digits)
    batches = training_batches(config, digits, Machine.prepare(config), network, augment=False)
    x, _ = next(iter(batches.epoch(0)))
    assert x.stride() == ((64, 1, 8, 1) if last else (64, 64, 8, 1))
