"""One ticket to one file in the format asked for: the command `export`. Needs torch only where used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tombola.errors import ArgumentError

if TYPE_CHECKING:  # numpy is not to be waited for where no ticket is read
    from tombola.ticket import Ticket

Format = Literal["auto", "safetensors", "onnx", "csr", "ternary"]

SUFFIXES: dict[str, Format] = {".safetensors": "safetensors", ".onnx": "onnx"}


def format_of(path: Path, to: Format) -> Format:
    """`to`, or for "auto" what the name of the file says. Raises ArgumentError where it says nothing."""
    if to != "auto":
        return to
    if path.suffix.lower() in SUFFIXES:
        return SUFFIXES[path.suffix.lower()]
    if path.suffix.lower() in (".pt", ".pth"):
        raise ArgumentError(f"{path} may be either of two formats: give --to csr or --to ternary")
    raise ArgumentError(
        f"{path}: expected a name in {' or '.join(SUFFIXES)}, or --to safetensors, onnx, csr or ternary"
    )


def write(
    ticket: Ticket,
    path: Path,
    to: Format,
    *,
    model: str | None = None,
    width: float | None = None,
    classes: int | None = None,
    input_shape: str | None = None,
) -> dict[str, Any]:
    """Write the file; returns what to tell of it. The options of the model are for ONNX.

    Raises what the writers raise (see `tombola.export`), and ArgumentError for an option without use.
    """
    wanted = format_of(path, to)
    told: dict[str, Any] = {"file": str(path), "format": wanted}
    if wanted == "onnx":
        return told | _write_onnx(ticket, path, model, width, classes, input_shape)
    options = {"model": model, "width": width, "classes": classes, "input-shape": input_shape}
    for name, value in options.items():
        if value is not None:
            raise ArgumentError(f"--{name} is for --to onnx, not for --to {wanted}")
    if wanted == "safetensors":
        from tombola.export.dense import to_safetensors

        return told | {"bytes": to_safetensors(ticket, path)}
    from tombola.export.sparse import to_csr, to_ternary

    return told | {"bytes": (to_csr if wanted == "csr" else to_ternary)(ticket, path)}


def _write_onnx(
    ticket: Ticket,
    path: Path,
    model: str | None,
    width: float | None,
    classes: int | None,
    input_shape: str | None,
) -> dict[str, Any]:
    from tombola.export.network import parse_shape, plain_network
    from tombola.export.onnx import to_onnx

    shape = None if input_shape is None else parse_shape(input_shape)
    network, shape = plain_network(ticket, model=model, width=width, classes=classes, input_shape=shape)
    written = to_onnx(ticket, path, network, shape)
    return {
        "bytes": written.nbytes,
        "input_shape": ",".join(["N", *map(str, shape)]),
        "greatest_difference": written.difference,
        "greatest_output": written.scale,
    }
