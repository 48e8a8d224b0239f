"""The command construct: a ticket for a network of a file, or of the digits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from commands import WITHOUT_TORCH, finished, python, refusal, tombola, write_module
from tombola import Ticket
from tombola.theory import check, construct, model_of


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def saved(folder: Path, model: nn.Module) -> Path:
    safetensors.torch.save_file(model.state_dict(), folder / "target.safetensors")
    return folder / "target.safetensors"


@pytest.mark.parametrize("construction", ["two_layers", "one_extra_layer", "redraw"])
def test_a_network_in_a_file(tmp_path: Path, construction: str) -> None:
    path, out = saved(tmp_path, network()), tmp_path / "t.tombola"
    given = ("--construction", construction, "--density", "0.7", "--seed", "5", "--json", "--out", out)
    ended = tombola("construct", "--target", path, *given)
    assert ended.status == 0, ended
    told, ticket = json.loads(ended.out), Ticket.load(out)
    assert (told["digest"], told["ticket_bytes"]) == (ticket.digest, out.stat().st_size)
    assert (told["source_weights"], told["kept_weights"]) == (ticket.mask.total, ticket.mask.kept)
    assert told["parameter_error"] <= 0.01
    check(network(), ticket, told["error_bound"])
    x = torch.rand(200, 6) * 2 - 1
    with torch.no_grad():
        assert (model_of(ticket)(x) - network()(x)).abs().max() <= told["error_bound"]
    assert tombola("verify", out).status == 0


def test_an_error_of_the_whole_function_over_a_box(tmp_path: Path) -> None:
    path, out = saved(tmp_path, network()), tmp_path / "t.tombola"
    given = ("--error", "0.05", "--lower", "0", "--upper", "0.5", "--json", "--out", out)
    told = json.loads(tombola("construct", "--target", path, *given).out)
    assert told["error_bound"] <= 0.05
    check(network(), Ticket.load(out), told["error_bound"], box=(0.0, 0.5))


def test_the_digits(tmp_path: Path) -> None:
    out = tmp_path / "t.tombola"
    ended = tombola("construct", "--json", "--out", out)
    assert ended.status == 0, ended
    told = json.loads(ended.out)
    assert told["target_test_accuracy"] > 0.9
    assert told["answers_alike"] >= 0.995
    assert told["greatest_difference_on_test"] <= told["error_bound"]
    assert tombola("inspect", out).status == 0


def test_layers_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    """10 comes after 2."""
    first, last = torch.eye(4)[:3], torch.ones(2, 3)
    path = tmp_path / "t.safetensors"
    safetensors.torch.save_file({"10.weight": last, "2.weight": first}, path)
    given = ("--density", "1", "--json", "--out", tmp_path / "t.tombola")
    assert tombola("construct", "--target", path, *given).status == 0
    plain = model_of(Ticket.load(tmp_path / "t.tombola"))
    assert plain[0].weight.shape[1] == 4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--tolerance", "0"), "tolerance must be a finite number greater than 0"),
        (("--error", "0.5", "--tolerance", "0.5"), "--error chooses the tolerance of each weight"),
        (("--error", "-1"), "error must be a finite number greater than 0"),
        (("--density", "1.5"), "density is the fraction"),
        (("--rule", "eerk"), "unknown density rule 'eerk': did you mean 'erk'"),
        (("--lower", "1", "--upper", "0"), "upper bound below its lower one"),
    ],
)
def test_options_that_cannot_be(tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    path = saved(tmp_path, network())
    assert said in refusal("construct", "--target", path, *options, "--out", tmp_path / "t.tombola")
    assert not (tmp_path / "t.tombola").exists()


def test_a_source_too_narrow_can_be_made_wider(tmp_path: Path) -> None:
    given = ("construct", "--target", saved(tmp_path, network()), "--out", tmp_path / "t.tombola")
    assert "a width_factor of" in refusal(*given, "--width-factor", "1e-3")
    assert not (tmp_path / "t.tombola").exists()
    usual, wide = (json.loads(tombola(*given, "--json", *more).out) for more in ((), ("--width-factor", "2")))
    assert wide["source_weights"] > 1.9 * usual["source_weights"]


def test_a_trained_convolution_is_no_target(tmp_path: Path) -> None:
    path = finished("train", "--model", "conv2") / "model.safetensors"
    line = refusal("construct", "--target", path, "--out", tmp_path / "t.tombola")
    assert "'conv1.weight' of shape (6, 1, 3, 3) is a convolution's" in line
    assert not (tmp_path / "t.tombola").exists()


def test_targets_that_cannot_be(tmp_path: Path) -> None:
    out = ("--out", tmp_path / "t.tombola")
    (tmp_path / "text").write_text("no network")
    assert "is no safetensors file" in refusal("construct", "--target", tmp_path / "text", *out)
    bad = network()
    torch.nn.init.constant_(bad[0].weight, np.nan)  # type: ignore[arg-type]
    assert "not finite" in refusal("construct", "--target", saved(tmp_path, bad), *out)
    assert "is no file" in refusal("construct", "--out", tmp_path)


def test_a_folder_that_is_not_there_is_noticed_before_anything_is_constructed(tmp_path: Path) -> None:
    line = refusal("construct", "--out", tmp_path / "nowhere" / "t.tombola")
    assert line == f"--out {tmp_path}/nowhere/t.tombola: there is no folder {tmp_path}/nowhere"


def test_a_target_that_is_not_there_is_noticed_before_torch_is_imported(tmp_path: Path) -> None:
    for target in (tmp_path / "nowhere", tmp_path, Path("digits_mlp")):
        ended = python(WITHOUT_TORCH, "construct", "--target", target, cwd=tmp_path)
        said = f"--target {target} is no file: give a safetensors file, or digits-mlp"
        assert (ended.status, ended.complaint) == (2, said)


def test_a_construction_names_no_model_to_evaluate(tmp_path: Path) -> None:
    path = tmp_path / "t.tombola"
    torch.manual_seed(0)
    target = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    construct(target).ticket.save(path)
    for options in ((), ("--data", "digits")):
        line = refusal("evaluate", path, *options)
        assert "the ticket is a construction" in line
        assert "tombola.theory.model_of(ticket)" in line
    assert "is a construction" in refusal("export", path, "--out", tmp_path / "t.onnx")


def test_a_construction_is_measured_by_code_that_gives_its_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.tombola"
    construct(nn.Sequential(nn.Flatten(), nn.Linear(64, 10))).ticket.save(path)
    text = f"""
from tombola import Ticket
from tombola.theory import model_of
def net(width, in_channels, classes):
    return model_of(Ticket.load({str(path)!r}))
"""
    write_module(monkeypatch, tmp_path, "own_construction", text)
    ended = tombola("evaluate", path, "--data", "digits", "--model", "own_construction:net", "--json")
    assert ended.status == 0, ended
    assert 0.0 <= json.loads(ended.out)["test_accuracy"] <= 1.0


def test_the_help_tells_of_every_option() -> None:
    told = " ".join(tombola("construct", "--help").out.replace("│", " ").split())
    for text in ("with ReLUs between them, or digits-mlp", "of constant width.", "The ticket's file."):
        assert text in told
