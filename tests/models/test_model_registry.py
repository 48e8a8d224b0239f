from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from model_helpers import weight_shapes
from torch import nn

from tombola.errors import ArgumentError
from tombola.models import MODELS, build, lenet_300_100

NAMES = """mlp lenet-300-100 conv2 conv4 conv6 conv8 vgg16 vgg19 resnet18 resnet34 resnet50 resnet101"""
WriteModule = Callable[[str, str], None]


def make(name: str, width: float = 1.0, in_channels: int = 3, classes: int = 10, size: int = 16) -> nn.Module:
    return build(name, width=width, in_channels=in_channels, classes=classes, image_size=size)


def message(name: str, **arguments: float) -> str:
    """The one line with which `build` refuses `name`."""
    with pytest.raises(ArgumentError) as caught:
        make(name, **arguments)  # type: ignore[arg-type]
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.fixture
def write_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WriteModule]:
    """Writes modules into a fresh working directory that is not on the import path."""
    monkeypatch.chdir(tmp_path)
    known = set(sys.modules)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(tmp_path))])

    def write(name: str, text: str) -> None:
        path = (tmp_path / name.replace(".", "/")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    yield write
    for name in set(sys.modules) - known:
        del sys.modules[name]


def test_names() -> None:
    assert list(MODELS) == NAMES.split()
    for name, builder in MODELS.items():
        assert builder.__name__ == name.replace("-", "_")


@pytest.mark.parametrize("name", ["lenet-300-100", "lenet_300_100", "lenet_300-100"])
def test_dashes_and_underscores_are_alike(name: str) -> None:
    assert MODELS["lenet-300-100"] is lenet_300_100
    assert weight_shapes(make(name, size=4))["fc1.weight"] == (300, 48)


def test_arguments_reach_the_builder() -> None:
    model = build("conv2", width=0.25, in_channels=1, classes=7, image_size=6)
    assert list(weight_shapes(model).values()) == [
        (16, 1, 3, 3),
        (16, 16, 3, 3),
        (64, 16 * 3 * 3),
        (64, 64),
        (7, 64),
    ]


def test_unknown_name_with_the_nearest() -> None:
    text = message("con6")
    assert text.startswith("unknown model 'con6': did you mean 'conv6'? Known: mlp, lenet-300-100, conv2")
    assert message("").startswith("unknown model ''")


def test_builders_refuse_through_build() -> None:
    want = "conv8 halves the image 4 times: image_size must be at least 16, got 8"
    assert message("conv8", size=8) == want
    assert message("resnet18", width=0) == "resnet18: width must be a finite number above 0, got 0"


def test_user_function(write_module: WriteModule) -> None:
    write_module(
        "tombola_user_net",
        "from torch import nn\n"
        "def net(width, in_channels, classes):\n"
        "    return nn.Conv2d(in_channels, classes, int(width))\n",
    )
    model = make("tombola_user_net:net", width=5, in_channels=2, classes=3)
    assert weight_shapes(model) == {"weight": (3, 2, 5, 5)}


def test_user_function_in_a_package_may_be_a_class(write_module: WriteModule) -> None:
    write_module("tombola_user_package.__init__", "")
    write_module(
        "tombola_user_package.nets",
        "from torch import nn\n"
        "class Net(nn.Linear):\n"
        "    def __init__(self, *, width, in_channels, classes):\n"
        "        super().__init__(in_channels, classes)\n",
    )
    assert type(make("tombola_user_package.nets:Net")).__name__ == "Net"


def test_the_working_directory_is_first_during_import_and_last_afterwards(write_module: WriteModule) -> None:
    # `colorsys` is also a module of the standard library that nothing here has imported.
    sys.modules.pop("colorsys", None)
    write_module(
        "colorsys",
        "from torch import nn\ndef net(**_):\n    import tombola_user_late\n    return nn.Identity()\n",
    )
    write_module("tombola_user_late", "")
    before = list(sys.path)
    assert isinstance(make("colorsys:net"), nn.Identity)
    assert sys.path == [*before, str(Path.cwd())]
    make("colorsys:net")
    assert sys.path == [*before, str(Path.cwd())]


def test_user_arguments_are_checked_first() -> None:
    prefix = "model 'tombola_absent:net': "
    want = prefix + "width must be a finite number above 0, got -1"
    assert message("tombola_absent:net", width=-1) == want
    assert message("tombola_absent:net", classes=0).startswith(prefix + "classes must be a whole number")
    assert message("tombola_absent:net", in_channels=0).startswith(prefix + "in_channels must be")


@pytest.mark.parametrize("name", [":net", "module:", ":"])
def test_malformed_names(name: str) -> None:
    assert message(name) == f"model {name!r} must have the form 'package.module:function'"


@pytest.mark.parametrize(
    ("text", "what_came"),
    [
        (None, "ModuleNotFoundError: No module named 'tombola_user_bad'"),
        ("import tombola_user_missing", "ModuleNotFoundError: No module named 'tombola_user_missing'"),
        ("def net(:", "SyntaxError: invalid syntax"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise ValueError('two\\nlines')", "ValueError: two lines"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
    ],
)
def test_module_that_cannot_be_imported(write_module: WriteModule, text: str | None, what_came: str) -> None:
    if text is not None:
        write_module("tombola_user_bad", text)
    text = message("tombola_user_bad:net")
    assert text.startswith(
        f"model 'tombola_user_bad:net': cannot import module 'tombola_user_bad': {what_came}"
    )


def test_relative_module_name() -> None:
    assert message(".nets:net").startswith("model '.nets:net': cannot import module '.nets': TypeError: ")


def test_function_that_is_not_there_or_not_callable(write_module: WriteModule) -> None:
    write_module("tombola_user_odd", "number = 3\n")
    assert message("tombola_user_odd:net") == (
        "model 'tombola_user_odd:net': module 'tombola_user_odd' has no function 'net'"
    )
    assert message("tombola_user_odd:number") == (
        "model 'tombola_user_odd:number': 'number' in module 'tombola_user_odd' must be callable, got int"
    )


def test_function_that_returns_no_module(write_module: WriteModule) -> None:
    write_module(
        "tombola_user_returns",
        "from torch import nn\ndef nothing(**_): pass\ndef a_class(**_): return nn.Identity\n",
    )
    prefix = "model 'tombola_user_returns:"
    assert message("tombola_user_returns:nothing") == (
        prefix + "nothing' must return a torch.nn.Module, got NoneType"
    )
    assert message("tombola_user_returns:a_class") == (
        prefix + "a_class' must return a torch.nn.Module, got type"
    )


def test_what_a_user_function_raises_is_chained(write_module: WriteModule) -> None:
    write_module(
        "tombola_user_raises",
        "def net(width, in_channels, classes):\n"
        "    return inner()\n"
        "def inner():\n"
        "    raise TypeError('no\\nway')\n",
    )
    with pytest.raises(ArgumentError) as caught:
        make("tombola_user_raises:net")
    assert str(caught.value) == "model 'tombola_user_raises:net' raised TypeError: no way"
    cause = caught.value.__cause__
    assert isinstance(cause, TypeError)
    frames = []
    trace = cause.__traceback__
    while trace is not None:
        frames.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    assert frames[-2:] == ["net", "inner"]


def test_a_user_function_that_exits_does_not_end_the_process(write_module: WriteModule) -> None:
    write_module("tombola_user_exits", "def net(**_): raise SystemExit\n")
    assert message("tombola_user_exits:net") == "model 'tombola_user_exits:net' raised SystemExit"


def test_user_function_with_another_signature(write_module: WriteModule) -> None:
    write_module("tombola_user_signature", "def net(width, channels): pass\n")
    text = message("tombola_user_signature:net")
    assert text.startswith("model 'tombola_user_signature:net' raised TypeError: net() got an unexpected")
    assert text.endswith("; it is called as function(width=, in_channels=, classes=)")


def test_interrupts_pass(write_module: WriteModule) -> None:
    write_module("tombola_user_interrupt", "def net(**_): raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        make("tombola_user_interrupt:net")
