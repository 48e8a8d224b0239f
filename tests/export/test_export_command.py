"""`tombola export`: formats by name, what it prints, what it refuses, and faults of the disk."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from export_helpers import assert_same_bits, ticket_of_case
from safetensors.torch import load_file
from torch import nn

from commands import WITHOUT_TORCH, finished, python, refusal, ticket_of, tombola, write_module
from tombola import Source, Ticket, models
from tombola.export import densify


def plain() -> nn.Module:
    return models.mlp(width=0.1, in_channels=1, classes=10, image_size=8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The ticket of a run, in a folder of its own."""
    copy = tmp_path / "in" / "t.tombola"
    copy.parent.mkdir()
    copy.write_bytes((finished() / "ticket.tombola").read_bytes())
    return copy


@pytest.mark.parametrize("options", [["n.safetensors"], ["N.SafeTensors"], ["n.pt", "--to", "safetensors"]])
def test_safetensors(options: list[str], path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ended = tombola("export", path, "--out", *options)
    assert (ended.status, ended.err) == (0, "")
    file = tmp_path / options[0]
    assert ended.out.splitlines() == [
        f"file    {options[0]}",
        "format  safetensors",
        f"bytes   {file.stat().st_size:,}",
    ]
    assert_same_bits(load_file(file), dict(ticket_of(finished()).apply(plain()).state_dict()))


@pytest.mark.parametrize("to", ["csr", "ternary"])
def test_state_dicts(to: str, path: Path, tmp_path: Path) -> None:
    ended = tombola("export", path, "--out", tmp_path / "n.pt", "--to", to, "--json")
    assert (ended.status, ended.err) == (0, "")
    size = (tmp_path / "n.pt").stat().st_size
    assert json.loads(ended.out) == {"file": str(tmp_path / "n.pt"), "format": to, "bytes": size}
    state = torch.load(tmp_path / "n.pt", weights_only=True)
    assert_same_bits(densify(state), dict(ticket_of(finished()).apply(plain()).state_dict()))


def test_onnx(path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ended = tombola("export", path, "--out", tmp_path / "n.onnx", "--json")
    assert (ended.status, ended.err) == (0, "")
    assert capfd.readouterr() == ("", "")
    said = json.loads(ended.out)
    assert said["bytes"] == (tmp_path / "n.onnx").stat().st_size
    assert (said["format"], said["input_shape"]) == ("onnx", "N,1,8,8")
    assert 0 <= said["greatest_difference"] <= 1e-5 * said["greatest_output"]
    x = torch.randn(7, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = ticket_of(finished()).apply(plain()).eval()(x).numpy()
    session = onnxruntime.InferenceSession(tmp_path / "n.onnx", providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {"input": x.numpy()})
    assert np.abs(got - expected).max() <= 1e-5 * np.abs(expected).max()


CODE = """
import pathlib
from torch import nn
pathlib.Path("ran").touch()
def net(width, in_channels, classes): return nn.Linear(in_channels, classes)
"""


def test_a_ticket_is_never_followed_to_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of one's own may take any inputs, not only images."""
    write_module(monkeypatch, tmp_path, "user_exported", CODE)
    source = Source(nn.Linear(6, 4))
    said = {"model": "user_exported:net", "classes": "4"}
    Ticket.from_mask(source, source.mask, metadata=said).save("t.tombola")
    line = refusal("export", "t.tombola", "--out", "n.onnx", "--input-shape", "6")
    assert "asks to import 'user_exported:net'" in line
    assert "--model" in line
    assert tombola("export", "t.tombola", "--out", "n.safetensors").status == 0
    assert not Path("ran").exists()
    named = ("--model", "user_exported:net", "--input-shape", "6")
    ended = tombola("export", "t.tombola", "--out", "n.onnx", *named)
    assert (ended.status, ended.err) == (0, "")
    assert "N,6" in ended.out
    assert Path("ran").exists()


REFUSED = {
    "torch file": (["n.pt"], ["n.pt may be either of two formats", "--to csr or --to ternary"]),
    "torch file, long": (["n.pth"], ["n.pth may be either of two formats"]),
    "unknown suffix": (["n.bin"], ["n.bin", "expected a name in .safetensors or .onnx, or --to"]),
    "no suffix": (["n"], ["n: expected a name in"]),
    "width without use": (
        ["n.safetensors", "--width", "0.1"],
        ["--width is for --to onnx, not for --to safetensors"],
    ),
    "shape without use": (["n.pt", "--to", "csr", "--input-shape", "3"], ["--input-shape is for --to onnx"]),
    "unknown model": (["n.onnx", "--model", "mpl"], ["model 'mpl'", "'mlp'"]),
    "another model": (["n.onnx", "--width", "0.5"], ["another architecture", "(128, 64)", "(26, 64)"]),
    "another shape": (["n.onnx", "--input-shape", "3,8,8"], ["another architecture", "(26, 192)"]),
    "classes": (["n.onnx", "--classes", "3"], ["another architecture", "(3, 26)"]),
    "no classes": (["n.onnx", "--classes", "0"], ["classes", "0"]),
    "no image": (["n.onnx", "--input-shape", "64"], ["model 'mlp' takes square images", "got 64"]),
    "no square": (["n.onnx", "--input-shape", "1,4,16"], ["takes square images", "got 1,4,16"]),
    "no numbers": (["n.onnx", "--input-shape", "1x8x8"], ["positive sizes such as 3,32,32", "'1x8x8'"]),
    "size 0": (["n.onnx", "--input-shape", "1,0,8"], ["positive sizes", "'1,0,8'"]),
    "empty": (["n.onnx", "--input-shape", ""], ["positive sizes", "got ''"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case: str, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options, said = REFUSED[case]
    (tmp_path / options[0]).write_bytes(b"old")
    line = refusal("export", path, "--out", *options)
    for words in said:
        assert words in line
    assert (tmp_path / options[0]).read_bytes() == b"old"


def test_a_source_of_many_magnitudes_has_no_ternary_form(tmp_path: Path) -> None:
    ticket_of_case("conv", "kaiming_normal").save(tmp_path / "t.tombola")
    line = refusal("export", tmp_path / "t.tombola", "--out", tmp_path / "n.pt", "--to", "ternary")
    assert "'signed_constant'; the ticket's is 'kaiming_normal'" in line
    assert not (tmp_path / "n.pt").exists()


def test_the_ticket_is_not_written_over(path: Path, tmp_path: Path) -> None:
    before = path.read_bytes()
    (tmp_path / "link.safetensors").symlink_to(path)
    for out in (path, tmp_path / "link.safetensors"):
        assert refusal("export", path, "--out", out, "--to", "csr") == f"--out {out} is the ticket itself"
    assert path.read_bytes() == before


def bare_ticket(folder: Path, **metadata: str) -> Path:
    source = Source(plain())
    Ticket.from_mask(source, source.mask, metadata=metadata).save(folder / "bare.tombola")
    return folder / "bare.tombola"


WHOLE = {"model": "mlp", "width": "0.1", "in_channels": "1", "image_size": "8", "classes": "10"}


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("model", "names no model: give one with --model"),
        ("in_channels", "does not say what inputs its model takes: give --input-shape, such as 3,32,32"),
        ("image_size", "does not say what inputs its model takes: give --input-shape, such as 3,32,32"),
        ("classes", "does not say how many classes its model has: give --classes"),
    ],
)
def test_metadata_that_do_not_say(key: str, said: str, tmp_path: Path) -> None:
    path = bare_ticket(tmp_path, **{name: value for name, value in WHOLE.items() if name != key})
    assert said in refusal("export", path, "--out", tmp_path / "n.onnx")
    assert tombola("export", path, "--out", tmp_path / "n.safetensors").status == 0


def test_what_is_given_stands_in_for_the_metadata(tmp_path: Path) -> None:
    options = ("--model", "mlp", "--width", "0.1", "--input-shape", "1,8,8", "--classes", "10")
    ended = tombola("export", bare_ticket(tmp_path), "--out", tmp_path / "n.onnx", *options)
    assert (ended.status, ended.err) == (0, "")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("in_channels", "1.5"),
        ("image_size", "[8, 8]"),
        ("classes", "many"),
        ("classes", "0"),
        ("width", "-1"),
    ],
)
def test_metadata_that_cannot_be_used(key: str, value: str, tmp_path: Path) -> None:
    line = refusal("export", bare_ticket(tmp_path, **{**WHOLE, key: value}), "--out", tmp_path / "n.onnx")
    assert f"as {key!r}, got {value!r}" in line
    assert not (tmp_path / "n.onnx").exists()


def test_inputs_so_large_are_to_be_asked_for(tmp_path: Path) -> None:
    path = bare_ticket(tmp_path, **{**WHOLE, "image_size": "4000"})
    line = refusal("export", path, "--out", tmp_path / "n.onnx")
    assert "ask for inputs of 1 × 4000 × 4000: if that is meant, give --input-shape 1,4000,4000" in line


@pytest.mark.parametrize(
    ("name", "to"), [("n.safetensors", "auto"), ("n.pt", "csr"), ("n.pt", "ternary"), ("n.onnx", "auto")]
)
@pytest.mark.parametrize("number", [28, 13])
def test_a_full_or_read_only_place_is_a_fault_of_the_environment(
    name: str, to: str, number: int, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    (tmp_path / name).write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync" if number == 28 else "tempfile.mkstemp", fail)
        ended = tombola("export", path, "--out", tmp_path / name, "--to", to)
    assert (ended.status, ended.out) == (3, "")
    assert ended.complaint == f"{tmp_path / name}: {os.strerror(number)}"
    assert (tmp_path / name).read_bytes() == b"old"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in", name]


def test_places_that_cannot_be(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "nowhere" / "n.safetensors"
    assert refusal("export", path, "--out", out) == f"{out}: No such file or directory"
    assert (
        refusal("export", tmp_path / "none", "--out", out)
        == f"{tmp_path / 'none'}: No such file or directory"
    )
    (tmp_path / "f.safetensors").mkdir()
    assert "Is a directory" in refusal("export", path, "--out", tmp_path / "f.safetensors")


def test_safetensors_needs_no_torch_and_the_rest_says_how_to_get_it(path: Path, tmp_path: Path) -> None:
    assert python(WITHOUT_TORCH, "export", path, "--out", "n.safetensors", cwd=tmp_path).status == 0
    for options in (["n.onnx"], ["n.pt", "--to", "csr"]):
        ended = python(WITHOUT_TORCH, "export", path, "--out", *options, cwd=tmp_path)
        assert (ended.status, ended.out) == (2, "")
        assert "pip install 'tombola[torch]'" in ended.complaint
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in", "n.safetensors"]


def test_missing_packages_of_onnx(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    line = refusal("export", path, "--out", tmp_path / "n.onnx")
    assert "pip install 'tombola[export]'" in line
