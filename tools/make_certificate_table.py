"""Print the table of docs/theory.md that says what certificates at 0.01 for each weight are worth.

python tools/make_certificate_table.py
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from tombola.theory.certificate import bound, read_box
from tombola.theory.effective import Block
from tombola.theory.target import Floats, TargetLayer, read_target
from tombola.theory.tolerances import tolerances_for

TOLERANCE, ERROR, INPUTS = 0.01, 0.1, 20_000
TARGETS = ((16, 24, 5), (784, 300, 100, 10))


def main() -> None:
    """One line for each target, of weights N(0, 2/n) and no biases."""
    print("| target | bound | greatest output seen | error seen | tolerances for an error of 0.1 |")  # noqa: T201
    print("| --- | --- | --- | --- | --- |")  # noqa: T201
    for sizes in TARGETS:
        numbers = np.random.default_rng(0)
        weights = [numbers.normal(0, np.sqrt(2 / a), (b, a)) for a, b in pairwise(sizes)]
        layers = read_target([(weight, None) for weight in weights])
        box = read_box((-1.0, 1.0), layers[0])
        certified = bound(layers, [off(layer) for layer in layers], box).error
        inputs = numbers.uniform(-1, 1, (INPUTS, sizes[0]))
        exact = outputs(weights, inputs)
        wrong = [weight + TOLERANCE * numbers.uniform(-1, 1, weight.shape) for weight in weights]
        seen = np.abs(outputs(wrong, inputs) - exact).max()
        chosen = tolerances_for(layers, ERROR, box)
        name = "-".join(str(size) for size in sizes)
        cells = f"{certified:.4g} | {np.abs(exact).max():.2g} | {seen:.2g}"
        print(f"| {name} | {cells} | {min(chosen):.2g} … {max(chosen):.2g} |")  # noqa: T201


def off(layer: TargetLayer) -> Block:
    """The layer with every weight and bias off by the tolerance, in an unknown direction."""
    errors = np.full(layer.weight.shape, TOLERANCE)
    return Block(True, 1, layer.outputs, (errors, errors), np.full(layer.outputs, TOLERANCE))


def outputs(weights: list[Floats], values: Floats) -> Floats:
    """Of a network with ReLUs between its layers."""
    for weight in weights[:-1]:
        values = np.maximum(values @ weight.T, 0)
    return values @ weights[-1].T


if __name__ == "__main__":
    main()
