"""Layerwise densities: the total exact, the ratios the rule's, and every bad rule refused."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

import tombola
from tombola import ArgumentError
from tombola.source.density import densities, overall, rule_name
from tombola.source.rules import RULES

Shapes = dict[str, tuple[int, ...]]

sizes = st.integers(1, 600)
kernels = st.sampled_from([(), (1,), (5,), (3, 3), (1, 1), (7, 7), (3, 3, 3)])
layers = st.builds(lambda out, into, kernel: (out, into, *kernel), sizes, sizes, kernels)
networks = st.lists(layers, min_size=1, max_size=30).map(
    lambda shapes: {f"layer{n}.weight": shape for n, shape in enumerate(shapes)}
)
wanted = st.floats(0.001, 1.0)

RESNET_PART: Shapes = {
    "conv1.weight": (64, 3, 3, 3),
    "conv2.weight": (64, 64, 3, 3),
    "conv3.weight": (128, 64, 3, 3),
    "fc.weight": (10, 128),
}


def ratio(rule: str, shape: tuple[int, ...]) -> float:
    """What p_l is in proportion to, written out again from the papers."""
    size = math.prod(shape)
    if rule == "erk":
        return (sum(shape[:2]) + (math.prod(shape[2:]) if len(shape) > 2 else 0)) / size
    return {"uniform": 1.0, "balanced": 1 / size}[rule]


@pytest.mark.parametrize("rule", sorted(RULES))
@given(shapes=networks, density=wanted)
def test_the_total_is_exact(rule: str, shapes: Shapes, density: float) -> None:
    found = densities(shapes, density, rule)
    assert list(found) == list(shapes)
    assert all(0.0 < value <= 1.0 for value in found.values())
    assert overall(shapes, found) == pytest.approx(density, abs=1e-9)


@pytest.mark.parametrize("rule", ["uniform", "erk", "balanced"])
@given(shapes=networks, density=wanted)
def test_layers_that_are_not_whole_are_in_the_rules_ratios(rule: str, shapes: Shapes, density: float) -> None:
    found = densities(shapes, density, rule)
    scales = [found[n] / ratio(rule, shape) for n, shape in shapes.items() if found[n] < 1.0]
    if scales:
        assert np.ptp(scales) <= 1e-9 * max(scales)
        # Whoever is whole would have got more than it holds.
        whole = [scales[0] * ratio(rule, shape) for n, shape in shapes.items() if found[n] == 1.0]
        assert min(whole, default=1.0) >= 1.0 - 1e-9


@given(shapes=networks, density=wanted)
def test_a_pyramid_is_a_root(shapes: Shapes, density: float) -> None:
    numbers = [math.prod(shape) for shape in shapes.values()]
    target = density * sum(numbers)

    def excess(base: float) -> float:
        return sum(m * base**layer for layer, m in enumerate(numbers, start=1)) - target

    root = brentq(excess, 0.0, 1.0, xtol=1e-15) if density < 1.0 else 1.0
    found = densities(shapes, density, "pyramidal")
    for layer, value in enumerate(found.values(), start=1):
        assert value == pytest.approx(max(root**layer, 1e-300), rel=1e-6)


def test_by_hand() -> None:
    shapes = {"a": (10, 10), "b": (10, 20), "c": (1, 100)}
    assert densities(shapes, 0.5, "uniform") == {"a": 0.5, "b": 0.5, "c": 0.5}
    # 200 weights of 400: 66.7 in each layer.
    assert densities(shapes, 0.5, "balanced") == pytest.approx({"a": 2 / 3, "b": 1 / 3, "c": 2 / 3})
    # Ratios 0.2, 0.15 and 1.01: c would get 2.28 and is whole; the other 100 at 0.2 x and 0.15 x.
    assert densities(shapes, 0.5, "erk") == pytest.approx({"a": 0.4, "b": 0.3, "c": 1.0})
    # 100 q + 200 q² + 100 q³ = 100 q (1 + q)².
    found = densities(shapes, 0.5, "pyramidal")
    assert found["a"] * (1 + found["a"]) ** 2 == pytest.approx(2.0)
    assert found["b"] == pytest.approx(found["a"] ** 2)


def test_a_kernel_counts_its_positions() -> None:
    found = densities({"a": (8, 4, 3, 3), "b": (8, 4)}, 0.1, "erk")
    assert found["a"] / found["b"] == pytest.approx(((8 + 4 + 9) / (8 * 4 * 9)) / ((8 + 4) / (8 * 4)))


def test_layers_kept_whole() -> None:
    sizes = {name: math.prod(shape) for name, shape in RESNET_PART.items()}
    for rule in RULES:
        found = densities(RESNET_PART, 0.3, rule, dense_first=True, dense_last=True)
        assert found["conv1.weight"] == found["fc.weight"] == 1.0
        assert overall(RESNET_PART, found) == pytest.approx(0.3, abs=1e-12)
    uniform = densities(RESNET_PART, 0.3, dense_first=True)
    left = (0.3 * sum(sizes.values()) - sizes["conv1.weight"]) / (sum(sizes.values()) - sizes["conv1.weight"])
    assert uniform["fc.weight"] == pytest.approx(left)


def test_depthwise_convolutions_kept_whole() -> None:
    shapes = {"grey": (16, 1, 3, 3), "depthwise": (16, 1, 3, 3), "pointwise": (32, 16, 1, 1), "fc": (10, 1)}
    found = densities(shapes, 0.6, dense_depthwise=True)
    assert [found[name] == 1.0 for name in shapes] == [False, True, False, False]
    assert overall(shapes, found) == pytest.approx(0.6, abs=1e-12)


def test_rules_of_ones_own() -> None:
    own = {"conv1.weight": 1.0, "conv2.weight": 0.25, "conv3.weight": 0.5, "fc.weight": 0.0}
    assert densities(RESNET_PART, 0.3, own) == own
    assert densities(RESNET_PART, 0.3, lambda shapes, density: dict.fromkeys(shapes, density / 2)) == (
        dict.fromkeys(RESNET_PART, 0.15)
    )
    erk = partial(densities, rule="erk", dense_first=True)
    assert densities(RESNET_PART, 0.3, erk) == densities(RESNET_PART, 0.3, "erk", dense_first=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({}, 0.5), "density of 0.5 needs at least one layer, got none"),
        (({"a": (3, 0)}, 0.5), r"layer 'a' of shape \(3, 0\) has no weights"),
        ((RESNET_PART, 0.0), r"density is the fraction of weights kept, in \(0, 1\], got 0.0"),
        ((RESNET_PART, 1.1), r"in \(0, 1\], got 1.1"),
        ((RESNET_PART, math.nan), r"in \(0, 1\], got nan"),
        ((RESNET_PART, True), r"in \(0, 1\], got True"),
        ((RESNET_PART, 0.5, "balance"), "unknown density rule 'balance': did you mean 'balanced'"),
        ((RESNET_PART, 0.5, {"conv1.weight": 1.0}), "names no density for layer 'conv2.weight'"),
        ((RESNET_PART, 0.5, {**dict.fromkeys(RESNET_PART, 1.0), "x": 1.0}), "the density rule names 'x'"),
        (
            (RESNET_PART, 0.5, dict.fromkeys(RESNET_PART, 1.5)),
            r"'conv1.weight' 1.5: expected one in",
        ),
        ((RESNET_PART, 0.5, lambda s, p: dict.fromkeys(s, -0.1)), r"'conv1.weight' -0.1: expected one in"),
        ((RESNET_PART, 0.5, lambda s, p: dict.fromkeys(s, math.nan)), r"'conv1.weight' nan: expected one in"),
        ((RESNET_PART, 0.5, lambda s, p: [p]), "must give {layer: density}, got list"),
        (
            (RESNET_PART, 0.5, None),
            r"a density rule is a name \(uniform, .*\), a function or a mapping, got None",
        ),
        ((RESNET_PART, 0.5, 5), "a function or a mapping, got 5"),
        (({"a": (3, -2)}, 0.5), r"layer 'a' of shape \(3, -2\) has no weights"),
        (({"a": (-3, -2)}, 0.5), r"layer 'a' of shape \(-3, -2\) has no weights"),
        (({"a": (3.5, 2)}, 0.5), r"the shape of layer 'a' must be whole numbers, got \(3.5, 2\)"),
        (({"a": 5}, 0.5), "the shape of layer 'a' must be whole numbers, got 5"),
        (([(3, 4)], 0.5), "shapes must be {layer: shape}, got list"),
    ],
)
def test_what_cannot_be_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        densities(*arguments)


def test_layers_kept_whole_must_leave_something() -> None:
    message = r"density 0.01 of 113600 weights is 1136, but the layers kept dense have 1728 by themselves"
    with pytest.raises(ArgumentError, match=message):
        densities(RESNET_PART, 0.01, dense_first=True)


def test_what_rules_are_called() -> None:
    assert rule_name("erk") == rule_name(partial(densities, rule="erk", dense_first=True)) == "erk"
    assert rule_name({"a": 0.5}) == "custom"
    assert rule_name(RULES["balanced"]) == "balanced"


def test_it_is_public() -> None:
    assert tombola.densities is densities


@pytest.mark.parametrize(
    ("shapes", "density", "options"),
    [
        ({"a": (3, 4), "b": (4, 5)}, 0.3, {"dense_first": True, "dense_last": True}),
        ({"a": (3, 4)}, 0.3, {"dense_first": True}),
        # What is left for b is 0 exactly, and 5e-17 as it is computed.
        ({"a": (7,), "b": (18,)}, 7 / 25, {"dense_first": True}),
        ({"a": (7,), "b": (18,)}, 0.2, {"dense_first": True}),
    ],
)
def test_layers_kept_dense_that_leave_nothing(
    shapes: Shapes, density: float, options: dict[str, bool]
) -> None:
    with pytest.raises(ArgumentError, match="but the layers kept dense have .* by themselves"):
        densities(shapes, density, "erk", **options)


def test_layers_that_are_all_kept_dense_meet_a_density_of_1() -> None:
    assert densities({"a": (3, 4)}, 1.0, dense_first=True) == {"a": 1.0}
    with pytest.raises(ArgumentError, match="unknown density rule"):
        densities({"a": (3, 4)}, 1.0, "nonsense", dense_first=True)


def test_a_mapping_may_name_the_layers_kept_dense_too() -> None:
    own = {"a": 1.0, "b": 0.25}
    assert densities({"a": (3, 4), "b": (4, 5)}, 0.5, own, dense_first=True) == own


@pytest.mark.parametrize("density", [np.float32(0.3), Fraction(1, 3)])
@pytest.mark.parametrize("rule", sorted(RULES))
def test_numbers_of_other_types(density: Any, rule: str) -> None:
    shapes = {"a": (30, 20), "b": (40, 30, 3, 3), "c": (10, 40)}
    found = densities(shapes, density, rule)
    assert all(type(value) is float for value in found.values())
    assert overall(shapes, found) == pytest.approx(float(density), abs=1e-12)
    wide: Any = {"a": (np.int32(60000), np.int32(60000)), "b": (3, 3)}
    assert densities(wide, 0.5, rule) == densities({"a": (60000, 60000), "b": (3, 3)}, 0.5, rule)


def test_a_number_that_is_searched_by_itself() -> None:
    assert densities({"scale": (), "b": (3, 3)}, 1.0, "erk") == {"scale": 1.0, "b": 1.0}
