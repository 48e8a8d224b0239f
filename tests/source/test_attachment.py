"""Into a model and out again: where something is refused on the way, the model is as it was."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from builders import LayerNormMLP
from tombola import ArgumentError, EdgePopup, Source, TombolaError
from tombola.source import surgery
from tombola.source.recipe import Recipe


class Memory(nn.Module):
    """Free parameters beside a layer, under names that a `ModuleDict` has for itself."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.query = nn.Linear(8, 8)
        self.register_parameter(name, nn.Parameter(torch.randn(16, 8)))


def state(model: nn.Module) -> list[Any]:
    return [(n, p.tolist(), p.requires_grad, id(p)) for n, p in model.named_parameters()] + [
        type(module) for module in model.modules()
    ]


@pytest.mark.parametrize("name", ["keys", "values", "items", "pop", "clear", "update"])
def test_names_that_torch_needs(name: str) -> None:
    model = Memory(name)
    before = state(model)
    with pytest.raises(ArgumentError, match=f"parameter '{name}' cannot be masked .*: rename it"):
        Source(model, fan_in={name: 8})
    assert state(model) == before
    Source(model, fixed={name: 0.5})


class Tied(nn.Module):
    """Two layers with one weight, after another."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.out = nn.Linear(4, 4)
        self.again = nn.Linear(4, 4)
        self.again.weight = self.out.weight


def interrupted(*_: Any) -> None:
    raise KeyboardInterrupt


def test_a_layer_that_takes_no_slot_leaves_none(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Tied()
    model.first.bias.requires_grad_(False)
    before, attach = state(model), surgery.attach_slot

    def failing(found: Any, slot: Any) -> None:
        if found.name == "out.weight":
            attach(replace(found, places=found.places[:1]), slot)  # the first of two that it is tied to
            raise RuntimeError("no room")
        attach(found, slot)

    monkeypatch.setattr("tombola.source.attachment.attach_slot", failing)
    with pytest.raises(RuntimeError, match="no room"):
        Source(model)
    assert state(model) == before
    monkeypatch.undo()
    monkeypatch.setattr(Recipe, "initial", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Source(model)
    assert state(model) == before
    monkeypatch.undo()
    Source(model).detach()
    assert list(model.state_dict()) == list(Tied().state_dict())


def test_buffers_without_a_shape() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.LazyBatchNorm1d(affine=False))
    before = state(model)
    with pytest.raises(ArgumentError, match="buffer '1.running_mean' has no shape yet: run the"):
        Source(model)
    assert state(model) == before


def test_a_model_on_the_meta_device() -> None:
    with torch.device("meta"):
        model = LayerNormMLP()
    with pytest.raises(ArgumentError, match="'fc1.weight' is on the meta device.*to_empty"):
        Source(model)
    EdgePopup(Source(model.to_empty(device="cpu"))).ticket()


def test_inference_mode() -> None:
    with torch.inference_mode():
        with pytest.raises(ArgumentError, match="no source can be made under torch.inference_mode"):
            Source(LayerNormMLP())
        made = LayerNormMLP()
    with pytest.raises(ArgumentError, match="'fc1.weight' was made under torch.inference_mode"):
        Source(made)
    source = Source(LayerNormMLP())
    with torch.inference_mode(), pytest.raises(ArgumentError, match="no search can be made under"):
        EdgePopup(source)
    EdgePopup(source)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (nn.DataParallel(nn.Linear(8, 8)), "DataParallel, module '0', wraps a model"),
        (torch.compile(nn.Linear(8, 8)), "OptimizedModule, module '0', wraps a model"),
    ],
)
def test_wrappers_of_a_part(part: nn.Module, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Source(nn.Sequential(part, nn.Linear(8, 2)))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_scripted_modules() -> None:
    with pytest.raises(ArgumentError, match="is compiled: give Source the model that it was scripted from"):
        Source(torch.jit.script(nn.Linear(4, 2)))


def test_layers_exchanged_after_attaching() -> None:
    model: Any = nn.Sequential(OrderedDict(a=nn.Linear(8, 8), b=nn.ReLU(), c=nn.Linear(8, 2)))
    search = EdgePopup(Source(model))
    c = model.c
    for other in (nn.Linear(8, 2), nn.Identity()):
        model.c = other
        with pytest.raises(TombolaError, match="parameter 'c.weight' is no longer where it was"):
            search.ticket()
    model.c = c
    model.b = nn.PReLU()
    with pytest.raises(
        TombolaError, match="parameter 'b.weight' was put into the model after the source was"
    ):
        search.ticket()
    model.b = nn.GELU()
    search.ticket()
    model.a.register_parameter("gate", nn.Parameter(torch.ones(8)))
    with pytest.raises(TombolaError, match="parameter 'a.gate' was put into the model"):
        search.ticket()
    del model.a.gate
    model.a.bias = None
    with pytest.raises(TombolaError, match="parameter 'a.bias' is no longer where it was"):
        search.ticket()
    search.source.detach()
    assert model.a.weight.requires_grad


def test_layers_that_change_places() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
    search = EdgePopup(Source(model))
    model[0], model[2] = model[2], model[0]
    with pytest.raises(TombolaError, match="parameter '0.weight' is no longer where it was"):
        search.ticket()


def test_a_layer_without_its_slot() -> None:
    for take in ("exchange", "remove", "add", "normalise"):
        model: Any = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8))
        search = EdgePopup(Source(model))
        name = "0.weight"
        if take == "exchange":
            plain = nn.Linear(8, 8)
            plain.weight, plain.bias = model[0].parametrizations.weight.original, model[0].bias
            model[0] = plain
        elif take == "remove":
            parametrize.remove_parametrizations(model[0], "weight", leave_parametrized=False)
        elif take == "add":
            parametrize.register_parametrization(model[0], "weight", Noted())
        else:
            name = "1.weight"
            nn.utils.parametrizations.weight_norm(model[1])
        with pytest.raises(TombolaError, match=f"parameter '{name}' is no longer where it was"):
            search.ticket()


def test_a_tie_that_was_cut() -> None:
    model = Tied()
    search = EdgePopup(Source(model))
    search.ticket()
    model.again = nn.Linear(4, 4)
    with pytest.raises(TombolaError, match="parameter 'out.weight' is no longer where it was"):
        search.ticket()


def test_a_tie_that_loading_cuts() -> None:
    model: Any = Tied()
    search = EdgePopup(Source(model))
    before = search.ticket()
    model.load_state_dict(model.state_dict(), assign=True)
    with pytest.raises(TombolaError, match="parameter 'out.weight' is no longer tied, .* tie it again"):
        search.ticket()
    model.again.parametrizations.weight.original = model.out.parametrizations.weight.original
    assert search.ticket() == before


def test_another_module_may_hold_the_same_parameters() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
    search = EdgePopup(Source(model))
    before = search.ticket()
    nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    assert type(model[1]) is nn.SyncBatchNorm
    assert search.ticket() == before
    copied = copy.deepcopy(search)
    assert copied.ticket() == before


class Noted(nn.Module):
    """A parametrization of the user's own."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return 2 * values


def test_a_parametrization_of_the_users_own_beside_a_slot() -> None:
    layer = nn.Linear(4, 2)
    EdgePopup(Source(layer))
    nn.utils.parametrize.register_parametrization(layer, "bias", Noted())
    assert layer(torch.ones(1, 4)).shape == (1, 2)


@pytest.mark.parametrize(
    ("layer", "options", "message"),
    [
        (nn.Embedding(10, 4, sparse=True), {"fan_in": {"weight": 4}}, "sparse gradients reach no scores"),
        (nn.Embedding(10, 4, max_norm=0.5), {"fan_in": {"weight": 4}}, "max_norm rewrites frozen weights"),
        (nn.LSTM(3, 4), {"fan_in": {"weight*": 4}, "fixed": {"bias*": 0.0}}, "use LSTMCell in a loop"),
    ],
)
def test_a_fan_in_does_not_make_a_layer_maskable(layer: nn.Module, options: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Source(layer, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fan_in": 64}, "fan_in must be a Mapping, got a int: give {name pattern: number}"),
        ({"fixed": 0}, "fixed must be a Mapping, got a int"),
        ({"mask": torch.ones(3)}, "mask must be a Mapping, got a Tensor: give {tensor name: boolean array}"),
        ({"include": (name for name in ["fc1.*", 5])}, "include must be a function of names, or patterns"),
        ({"include": 5}, "include must be a function of names, or patterns of them, got 5"),
        ({"include": [5]}, r"include must be a function of names, or patterns of them, got \[5\]"),
        ({"init": []}, r"unknown init \[\]"),
    ],
)
def test_options_of_another_kind(options: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Source(LayerNormMLP(), **options)


@pytest.mark.parametrize("make", [lambda: nn.Conv2d(0, 4, 1), lambda: nn.RNNCell(0, 5)])
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_layers_without_inputs(make: Callable[[], nn.Module]) -> None:
    source = Source(nn.ModuleList([make(), nn.Linear(4, 2)]), bias=True)
    EdgePopup(source).ticket()


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_nothing_but_layers_without_weights(scope: str) -> None:
    search = EdgePopup(Source(nn.Linear(0, 4)), scope=scope)
    search.step()
    assert search.ticket().mask.kept == 0


class Grouped(nn.Module):
    """A free parameter in a module whose `groups` means something else."""

    def __init__(self, groups: Any) -> None:
        super().__init__()
        self.groups = groups
        self.table = nn.Parameter(torch.randn(6, 5))


@pytest.mark.parametrize("groups", [4, nn.ModuleList()])
def test_groups_of_another_meaning(groups: Any) -> None:
    layer = Source(Grouped(groups), fan_in={"table": 5}, density=0.5).summary()[0]
    assert layer.weights == 30


def test_patterns_from_any_iterable() -> None:
    source = Source(LayerNormMLP(), include=(name for name in ["fc1.*"]))
    assert [layer.searched for layer in source.layers] == [True, False]
