"""What a constructed ticket computes, worked out a second time with plain loops, and its error bound by plain
interval propagation. Nothing here is shared with `tombola.theory`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from tombola.ticket import Ticket

Floats = npt.NDArray[np.float64]


@dataclass
class Plain:
    """A layer of the target: weight (out, in, taps), bias (out,)."""

    weight: Floats
    bias: Floats
    relu: bool
    flatten: bool
    padded: bool


def plain_layers(target: nn.Sequential) -> list[Plain]:
    found: list[Plain] = []
    flatten = False
    for module in target:
        if isinstance(module, nn.ReLU):
            found[-1].relu = True
        elif isinstance(module, nn.Flatten):
            flatten = True
        else:
            assert isinstance(module, (nn.Linear, nn.Conv2d))
            weight = module.weight.detach().double().numpy()
            bias = np.zeros(len(weight)) if module.bias is None else module.bias.detach().double().numpy()
            padding: Any = getattr(module, "padding", 0)
            padded = padding == "same" or any(np.atleast_1d(0 if isinstance(padding, str) else padding))
            found.append(Plain(weight.reshape(*weight.shape[:2], -1), bias, False, flatten, bool(padded)))
            flatten = False
    return found


@dataclass
class Rows:
    """The rows built for a layer. `positive` and `negative` (R, in, taps): the effective weights for inputs
    of either sign; `sizes` (R, in, copies): sums of magnitudes; `read`: the rows that anything reads.
    """

    copies: int
    positive: Floats
    negative: Floats
    bias: Floats
    sizes: Floats | None
    read: list[bool]


def effective(ticket: Ticket, layers: list[Plain]) -> list[Rows]:
    """The rows of each layer of the target."""
    weights = {name: array.astype(np.float64) for name, array in ticket.weights().items()}
    gains = {fixed.name: fixed.value for fixed in ticket.fixed}
    modules = json.loads(ticket.metadata["construction"])
    places = [place for place, module in enumerate(modules) if module["kind"] == "affine"]
    univariate = len(layers) if len(places) == 2 * len(layers) else 1
    found: list[Rows] = []
    constants: list[float] = []
    for number, layer in enumerate(layers):
        first = places.pop(0) if number < univariate else None
        place = places.pop(0)
        u = weights[f"{place}.weight"]
        u = u.reshape(*u.shape[:2], -1)
        gain, own = gains[f"{place + 1}.gain"], weights[f"{place}.bias"]
        copies = modules[place].get("copies", 1)
        rows = len(layer.weight) * copies
        shape = (rows, *layer.weight.shape[1:])
        positive, negative, bias = np.zeros(shape), np.zeros(shape), own[:rows].copy()
        sizes = None
        if first is not None:
            a = weights[f"{first}.weight"].reshape(-1, layer.weight.shape[1])
            for r, k, t in zip(*np.nonzero(u[:rows]), strict=True):
                edges = np.flatnonzero(a[k])
                if not len(edges):
                    bias[r] += u[r, k, t] * max(weights[f"{first}.bias"][k], 0.0)
                    continue
                (i,) = edges
                assert weights[f"{first}.bias"][k] == 0
                (positive if a[k, i] > 0 else negative)[r, i, t] += u[r, k, t] * a[k, i]
        else:
            before = found[-1]
            neurons = len(before.bias) // before.copies
            pixels = layer.weight.shape[1] // neurons
            sizes = np.zeros((rows, layer.weight.shape[1], before.copies))
            for r, column, t in zip(*np.nonzero(u[:rows]), strict=True):
                q, pixel = divmod(column, pixels)
                if q < len(before.bias):
                    before.read[q] = True
                    i = q // before.copies * pixels + pixel
                    positive[r, i, t] += u[r, column, t]
                    sizes[r, i, q % before.copies] += gain * abs(u[r, column, t])
                else:
                    bias[r] += u[r, column, t] * constants[q - len(before.bias)]
            negative = positive
        constants = [gain * value for value in own[rows:]]
        if layer.relu:
            constants = [max(value, 0.0) for value in constants]
        assert not u[rows:].any()
        last = number == len(layers) - 1 or univariate > 1
        read = [last] * rows
        found.append(Rows(copies, gain * positive, gain * negative, gain * bias, sizes, read))
    return found


def parameter_error(layers: list[Plain], found: list[Rows], signed: bool) -> float:
    """The greatest error of an effective weight or bias that is read; `signed`: inputs may be negative."""
    worst = 0.0
    for number, (layer, rows) in enumerate(zip(layers, found, strict=True)):
        below = not layers[number - 1].relu if number else signed
        for r in range(len(rows.bias)):
            if rows.read[r]:
                o = r // rows.copies
                worst = max(worst, abs(rows.bias[r] - layer.bias[o]))
                worst = max(worst, float(np.abs(rows.positive[r] - layer.weight[o]).max()))
                if below:
                    worst = max(worst, float(np.abs(rows.negative[r] - layer.weight[o]).max()))
    return worst


def interval_bound(layers: list[Plain], found: list[Rows], low: Floats, high: Floats) -> float:
    """Plain interval propagation of the errors, one row after the other, over a box of (inputs,)."""
    away = np.zeros((len(low), 1))
    for number, (layer, rows) in enumerate(zip(layers, found, strict=True)):
        if layer.flatten and number:
            times = layer.weight.shape[1] // len(low)
            low, high, away = (np.repeat(each, times, axis=0) for each in (low, high, away))
        if layer.padded:
            low, high = np.minimum(low, 0), np.maximum(high, 0)
        below = not layers[number - 1].relu if number else bool((low < 0).any())
        errors = np.zeros(len(rows.bias))
        for r in range(len(errors)):
            o = r // rows.copies
            errors[r] = abs(rows.bias[r] - layer.bias[o])
            for i in range(len(low)):
                if rows.sizes is None:
                    wander = away[i].max()
                    errors[r] += np.abs(layer.weight[o, i]).sum() * wander
                    up, down = max(high[i] + wander, 0.0), max(wander - low[i], 0.0) if below else 0.0
                    for t in range(layer.weight.shape[2]):
                        w = layer.weight[o, i, t]
                        errors[r] += max(
                            abs(rows.positive[r, i, t] - w) * up, abs(rows.negative[r, i, t] - w) * down
                        )
                else:
                    errors[r] += float(rows.sizes[r, i] @ away[i])
                    off = np.abs(rows.positive[r, i] - layer.weight[o, i]).sum()
                    errors[r] += off * max(abs(low[i]), abs(high[i]))
        total = layer.weight
        plus, minus = np.maximum(total, 0).sum(axis=2), np.minimum(total, 0).sum(axis=2)
        low, high = plus @ low + minus @ high + layer.bias, plus @ high + minus @ low + layer.bias
        if layer.relu:
            low, high = np.maximum(low, 0), np.maximum(high, 0)
        away = errors.reshape(-1, rows.copies)
    return float(away.max())
