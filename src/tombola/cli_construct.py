"""The command `tombola construct`: a strong ticket for a given network, with nothing trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from tombola.cli_output import print_json, print_result
from tombola.cli_status import torch_needed
from tombola.errors import ArgumentError

_DIGITS = "digits-mlp"
_TOLERANCE = 0.01


def construct(
    target: str = _DIGITS,
    construction: Literal["two_layers", "one_extra_layer", "redraw"] = "two_layers",
    out: Path = Path("constructed.tombola"),
    density: float = 0.5,
    rule: str = "uniform",
    tolerance: float | None = None,
    error: float | None = None,
    lower: float = -1.0,
    upper: float = 1.0,
    width_factor: float = 1.0,
    seed: int = 0,
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Build a strong ticket that equals a given network up to a proven error. Nothing is trained for it.

    Args:
        target: A safetensors file of linear layers alone (NAME.weight, NAME.bias), in the order of their
            names, with ReLUs between them, or digits-mlp: a small network that is trained on handwritten
            digits first.
        construction: two_layers for each of the target's, one_extra_layer in all, or redraw, of constant
            width.
        out: The ticket's file.
        density: Density of the Erdős–Rényi source network; 1 is a dense one.
        rule: Layerwise rule of the source's density: uniform, erk, pyramidal or balanced.
        tolerance: How far each weight may be from the target's; None: 0.01, or by --error.
        error: How far outputs may be from the target's over the box; chooses the tolerances.
        lower: Lower bound of every input.
        upper: Upper bound of every input.
        width_factor: How much wider than expected the source is to begin with.
        seed: Seed of the random network.
        json: Print the result as JSON.
    """
    if out.exists() and not out.is_file() and not out.is_char_device():
        raise ArgumentError(f"--out {out} is no file")
    if not out.absolute().parent.is_dir():
        raise ArgumentError(f"--out {out}: there is no folder {out.absolute().parent}")
    if tolerance is not None and error is not None:
        raise ArgumentError("--error chooses the tolerance of each weight: give one of the two")
    # Before torch is imported, which takes seconds.
    if target != _DIGITS and (not Path(target).exists() or Path(target).is_dir()):
        raise ArgumentError(f"--target {target} is no file: give a safetensors file, or {_DIGITS}")
    with torch_needed("constructing"):
        from tombola.experiments.construct import run_construct
    told = run_construct(
        target,
        out,
        seed=seed,
        density=density,
        tolerance=_TOLERANCE if tolerance is None else tolerance,
        construction=construction,
        rule=rule,
        error=error,
        box=(lower, upper),
        width_factor=width_factor,
    )
    print_json(told) if json else print_result(told)
    return 0
