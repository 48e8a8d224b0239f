"""The dense safetensors file: what a plain model loads strictly, without torch to write it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from export_helpers import INITS, assert_same_bits, expected_state, ticket_of_case
from safetensors.torch import load_file, load_model
from torch import nn

import tombola
from builders import CASES
from tombola import Source
from tombola.export import to_safetensors


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("case", [case for case in CASES if case != "tied"])
def test_a_plain_model_loads_it_strictly(case: str, init: str, tmp_path: Path) -> None:
    ticket, path = ticket_of_case(case, init), tmp_path / "n.safetensors"
    assert to_safetensors(ticket, path) == path.stat().st_size
    # Not only what loads: torch forgives a missing counter in a file of no version.
    assert_same_bits(load_file(path), expected_state(case, ticket))
    model = CASES[case].build()
    model.load_state_dict(load_file(path), strict=True)
    assert_same_bits(model.state_dict(), expected_state(case, ticket))


def test_a_tied_tensor_has_one_name(tmp_path: Path) -> None:
    ticket, path = ticket_of_case("tied"), tmp_path / "n.safetensors"
    to_safetensors(ticket, path)
    assert sorted(load_file(path)) == ["embedding.weight", "hidden.bias", "hidden.weight"]
    for load in (load_model, lambda model, path: model.load_state_dict(load_file(path), strict=False)):
        model = CASES["tied"].build()
        load(model, path)
        assert_same_bits(model.state_dict(), expected_state("tied", ticket))
    with pytest.raises(RuntimeError, match="Missing key.*out.weight"):
        CASES["tied"].build().load_state_dict(load_file(path))


def every_normalisation() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.InstanceNorm2d(4, affine=True, track_running_stats=True),
        nn.InstanceNorm2d(4),
        nn.BatchNorm2d(4, affine=False),
        nn.BatchNorm2d(4, track_running_stats=False),
        nn.GroupNorm(2, 4),
        nn.LayerNorm(6),
    )


def test_every_normalisation_layer_finds_its_buffers(tmp_path: Path) -> None:
    model = every_normalisation()
    search = tombola.EdgePopup(Source(model), 0.5)
    model(torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    to_safetensors(search.ticket(), tmp_path / "n.safetensors")
    state = load_file(tmp_path / "n.safetensors")
    assert state.keys() == every_normalisation().state_dict().keys()
    every_normalisation().load_state_dict(state, strict=True)
    assert {name for name in state if name.endswith("num_batches_tracked")} == {
        "1.num_batches_tracked",
        "3.num_batches_tracked",
    }
    assert state["1.num_batches_tracked"].dtype == torch.int64
    assert state["1.num_batches_tracked"].item() == 0
    assert state["3.running_mean"].abs().min() > 0


def test_a_model_that_is_one_normalised_layer(tmp_path: Path) -> None:
    """Its buffers have no prefix."""

    class Normalised(nn.BatchNorm1d):
        def __init__(self) -> None:
            super().__init__(4)
            self.fc = nn.Linear(3, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(self.fc(x))

    ticket = tombola.EdgePopup(Source(Normalised()), 0.5).ticket()
    to_safetensors(ticket, tmp_path / "n.safetensors")
    state = load_file(tmp_path / "n.safetensors")
    assert_same_bits(state, dict(ticket.apply(Normalised()).state_dict()))


def test_equal_tickets_give_equal_files_with_no_torch(tmp_path: Path) -> None:
    ticket = ticket_of_case("conv")
    ticket.save(tmp_path / "t.tombola")
    to_safetensors(ticket, tmp_path / "a.safetensors")
    code = """
import sys
sys.modules["torch"] = None  # any import of torch fails
import tombola
ticket = tombola.Ticket.load("t.tombola")
tombola.export.to_safetensors(ticket, "b.safetensors")
for name in ("to_csr", "to_ternary", "to_onnx", "densify"):
    try:
        getattr(tombola.export, name)
    except tombola.TombolaError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("pip install 'tombola[torch]'") == 4
    written = (tmp_path / "a.safetensors").read_bytes()
    assert (tmp_path / "b.safetensors").read_bytes() == written
    # More entries would come in another order every time.
    header = json.loads(written[8 : 8 + int.from_bytes(written[:8], "little")])
    assert header["__metadata__"] == {"format": "pt"}
