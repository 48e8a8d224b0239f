"""Models by name: the library's own, and `module:function` for anyone else's."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from inspect import signature
from pathlib import Path

from torch import nn

from tombola.errors import ArgumentError
from tombola.models.common import check_arguments
from tombola.models.conv import conv2, conv4, conv6, conv8
from tombola.models.names import NAMES, check_name
from tombola.models.perceptron import lenet_300_100, mlp
from tombola.models.resnet import resnet18, resnet34, resnet50, resnet101
from tombola.models.vgg import vgg16, vgg19

_BUILDERS: tuple[Callable[..., nn.Module], ...] = (
    mlp,
    lenet_300_100,
    conv2,
    conv4,
    conv6,
    conv8,
    vgg16,
    vgg19,
    resnet18,
    resnet34,
    resnet50,
    resnet101,
)
MODELS: dict[str, Callable[..., nn.Module]] = dict(zip(NAMES, _BUILDERS, strict=True))
"""Builder by name on the command line; all take (width, in_channels, classes, image_size)."""


def build(name: str, *, width: float, in_channels: int, classes: int, image_size: int) -> nn.Module:
    """Build the model called `name`: one of `MODELS` (`-` and `_` alike), or `package.module:function`.

    A user's function is looked up with the current working directory importable and called as
    `function(width=, in_channels=, classes=)`: its model must fit the images by itself.

    Raises ArgumentError, one line, for an unknown name, an argument out of range, a module that cannot
    be imported, a function that is missing, not callable or does not return a module; and, chained to
    the original, for whatever a user's function raises.

    >>> build("lenet_300_100", width=1.0, in_channels=1, classes=10, image_size=28).fc1
    Linear(in_features=784, out_features=300, bias=True)
    """
    if ":" in name:
        check_arguments(f"model {name!r}", width, in_channels, classes, image_size)
        return _call(name, width=width, in_channels=in_channels, classes=classes)
    builder = MODELS[check_name(name)]
    return builder(width=width, in_channels=in_channels, classes=classes, image_size=image_size)


def _call(name: str, **arguments: float) -> nn.Module:
    with _working_directory_importable():
        function = _find(name)
        try:
            model = function(**arguments)
        except (Exception, SystemExit) as error:
            told = f"{_in_one_line(error)}{_how_called(function, arguments)}"
            raise ArgumentError(f"model {name!r} raised {told}") from error
    if not isinstance(model, nn.Module):
        raise ArgumentError(f"model {name!r} must return a torch.nn.Module, got {type(model).__name__}")
    return model


def _how_called(function: Callable[..., object], arguments: Mapping[str, float]) -> str:
    """For a function that does not take the arguments, which they are; else nothing."""
    try:
        signature(function).bind(**arguments)
    except TypeError:
        return f"; it is called as function({', '.join(f'{name}=' for name in arguments)})"
    except ValueError:  # no signature is known
        pass
    return ""


def _find(name: str) -> Callable[..., object]:
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name:
        raise ArgumentError(f"model {name!r} must have the form 'package.module:function'")
    try:
        module = import_module(module_name)
    # A script that calls sys.exit, or parses argv, when imported is no reason to end this process.
    except (Exception, SystemExit) as error:
        raise ArgumentError(
            f"model {name!r}: cannot import module {module_name!r}: {_in_one_line(error)}"
        ) from error
    try:
        function = getattr(module, function_name)
    except AttributeError as error:
        raise ArgumentError(
            f"model {name!r}: module {module_name!r} has no function {function_name!r}"
        ) from error
    if not callable(function):
        raise ArgumentError(
            f"model {name!r}: {function_name!r} in module {module_name!r} must be callable, "
            f"got {type(function).__name__}"
        )
    return function  # type: ignore[no-any-return]


@contextmanager
def _working_directory_importable() -> Iterator[None]:
    """Put the working directory first on the import path, and leave it there last.

    First, so that the user's `module` is found before an installed one of that name, as with
    `python -m`; last afterwards, so that imports made later in a forward pass still work and none of
    the user's files hides a package that this library has yet to import.
    """
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        if here in sys.path:
            sys.path.remove(here)
        if here not in sys.path:
            sys.path.append(here)


def _in_one_line(error: BaseException) -> str:
    """The type and the message of `error`; the messages of torch and of the parser span lines."""
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
