"""The errors of the library: one small hierarchy, each message one line.

Every message names the thing, what was expected and what came, so that it can be shown to a user
as it stands.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class TombolaError(Exception):
    """Base of every error that the library raises on purpose."""


class ArgumentError(TombolaError, ValueError):
    """An argument, option or model that cannot be used as given."""


class ModelError(ArgumentError):
    """A model that fails as it computes: what it raised is the cause."""


class TicketError(TombolaError):
    """A ticket that is damaged, foreign, or made for another architecture."""


class DataError(TombolaError):
    """A data set that is missing or not of the expected form."""


class RunError(TombolaError):
    """A run that cannot start, resume or go on."""


class FolderInUseError(RunError):
    """The folder of a run that another process holds."""


def describe(error: BaseException) -> str:
    """What there is to say of any error in one line; of one that nobody raised on purpose, its type too.

    >>> describe(FileNotFoundError(2, "No such file or directory", "a.toml"))
    'a.toml: No such file or directory'
    """
    if isinstance(error, TombolaError):
        return str(error)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or str(error) or type(error).__name__}"
    first = (str(error).strip() or "no message").splitlines()[0]
    return f"{type(error).__name__}: {first}"


def unknown(what: str, name: object, known: Iterable[str]) -> ArgumentError:
    """An error for a name that is not known, with the nearest known one.

    >>> str(unknown("model", "con6", ["mlp", "conv6"]))
    "unknown model 'con6': did you mean 'conv6'? Known: mlp, conv6"
    """
    names = list(known)
    near = get_close_matches(str(name).lower(), names, n=1, cutoff=0.4)
    hint = f" did you mean {near[0]!r}?" if near else ""
    return ArgumentError(f"unknown {what} {name!r:.80}:{hint} Known: {', '.join(names)}")


def check_flag(what: str, value: object) -> None:
    """Raise ArgumentError unless `value` is True or False: 'no' is neither, and would count as True."""
    if not isinstance(value, bool):
        raise ArgumentError(f"{what} must be True or False, got {value!r}")


def check_kind(what: str, value: object, kind: type, hint: str) -> None:
    """Raise ArgumentError unless `value` is a `kind`; `hint` says how to come by one.

    >>> check_kind("source", 3, str, "write one")
    Traceback (most recent call last):
    tombola.errors.ArgumentError: source must be a str, got a int: write one
    """
    if not isinstance(value, kind):
        raise ArgumentError(f"{what} must be a {kind.__name__}, got a {type(value).__name__}: {hint}")


def missing_extra(what: str, extra: str) -> TombolaError:
    """An error for a feature whose optional dependencies are not installed."""
    return TombolaError(f"{what} needs packages that are not installed: pip install 'tombola[{extra}]'")
