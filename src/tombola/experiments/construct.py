"""The command `construct`: from a target, in a file or of our own, to a ticket and what is proven of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from tombola import data
from tombola.experiments.target_file import read_layers
from tombola.rng import Stream, seed_framework
from tombola.theory.construction import Construction, construct

DIGITS = "digits-mlp"
_HIDDEN = 32
_EPOCHS = 40


def run_construct(target: str, out: Path, **options: Any) -> dict[str, Any]:
    """Construct a ticket for a target (a safetensors file, or `digits-mlp`), save it, and say what it is.

    `options` are those of `construct`. Raises what that raises, ArgumentError for a target that cannot be
    read, OSError with nothing overwritten.
    """
    if target == DIGITS:
        model, images, labels = digits_target(options.get("seed", 0))
        made = construct(model, **options)
        told = _told(made) | _agreement(model, made, images, labels)
    else:
        layers = [(w.numpy(), None if b is None else b.numpy()) for w, b in read_layers(Path(target))]
        made = construct(layers, **options)
        told = _told(made)
    made.ticket.save(out)
    return {"ticket": str(out), **told}


def digits_target(seed: int) -> tuple[nn.Sequential, torch.Tensor, torch.Tensor]:
    """A small network trained on the handwritten digits, with the test images, in [-1, 1], and labels."""
    digits = data.load("digits", seed=seed, validation=0.0)
    seed_framework(Stream(seed, "framework", "construct"))
    model = nn.Sequential(nn.Linear(64, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, 10))
    x, y = _flat(digits.train), digits.train.labels
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for epoch in range(_EPOCHS):
        order = torch.from_numpy(Stream(seed, "construct", "order", epoch).permutation(len(x)))
        for part in torch.split(order, 64):
            optimizer.zero_grad()
            F.cross_entropy(model(x[part]), y[part]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return model, _flat(digits.test), digits.test.labels


@torch.no_grad()
def _agreement(
    target: nn.Module, made: Construction, images: torch.Tensor, labels: torch.Tensor
) -> dict[str, Any]:
    expected, answers = target(images), made.model()(images)
    return {
        "target_test_accuracy": _fraction(expected.argmax(1) == labels),
        "test_accuracy": _fraction(answers.argmax(1) == labels),
        "answers_alike": _fraction(expected.argmax(1) == answers.argmax(1)),
        "greatest_difference_on_test": float((expected - answers).abs().max()),
    }


def _told(made: Construction) -> dict[str, Any]:
    return {
        "parameter_error": made.parameter_error,
        "error_bound": made.error_bound,
        "source_weights": made.source_weights,
        "kept_weights": made.kept_weights,
        "retries": made.retries,
        "restarts": made.restarts,
        "ticket_bytes": made.ticket.nbytes,
        "digest": made.ticket.digest,
    }


def _flat(split: data.Split) -> torch.Tensor:
    return split.images.float().flatten(1) / split.full * 2 - 1


def _fraction(right: torch.Tensor) -> float:
    return float(right.float().mean())
