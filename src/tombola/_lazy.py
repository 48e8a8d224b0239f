"""Packages that import a name's module when the name is first used (PEP 562)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from tombola.errors import missing_extra


def attributes(
    package: str, homes: Mapping[str, str], scope: dict[str, Any]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of `package`, whose public names live in `homes`.

    `homes` maps a name to its module (the name itself when that is a module), `scope` is the
    package's `globals()`, where a name is kept once looked up. A name whose module needs torch raises
    TombolaError, saying which extra to install, where torch is missing.
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            module = import_module(homes[name])
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise missing_extra(f"{package}.{name}", "torch") from None
        scope[name] = module if homes[name] == f"{package}.{name}" else getattr(module, name)
        return scope[name]

    def names() -> list[str]:
        return sorted({*scope, *homes})

    return get, names, sorted(homes)
