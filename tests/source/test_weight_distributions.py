"""Weight distributions: golden bits, exact values, moments."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from tombola import ArgumentError
from tombola.rng import Stream
from tombola.source.init import DISTRIBUTIONS, draw, normal_quantiles

WORDS = Stream(7, "fc.weight", "weight", 2).words(4)
GOLDEN_BITS = {
    ("signed_constant", 1.0): [1049319752, 1049319752, 1049319752, 3196803400],
    ("signed_constant", 0.3): [1056860724, 1056860724, 1056860724, 3204344372],
    ("kaiming_uniform", 1.0): [1048895650, 3186834922, 1054288261, 1023078416],
    ("kaiming_uniform", 0.3): [1056086423, 3193834597, 1061448274, 1030034147],
    ("kaiming_normal", 1.0): [1051274648, 1040701162, 1057364491, 3192552522],
    ("kaiming_normal", 0.3): [1058697234, 1048052228, 1064621516, 3199784920],
    ("uniform", 1.0): [1057812502, 3196125084, 1063532230, 1032131696],
    ("uniform", 0.3): [1065396342, 3203105942, 1070617716, 1039333420],
}
MANY = Stream(0, "a", "weight").words(400_000)


@pytest.mark.parametrize("init", DISTRIBUTIONS)
@pytest.mark.parametrize("fan_density", [1.0, 0.3])
def test_golden_bits(init: str, fan_density: float) -> None:
    # These bits are in every ticket ever made: they must never change.
    assert draw(init, WORDS, 27, fan_density).view(np.uint32).tolist() == GOLDEN_BITS[init, fan_density]


@pytest.mark.parametrize("init", DISTRIBUTIONS)
def test_no_draw_is_zero_and_signs_are_fair(init: str) -> None:
    weights = draw(init, MANY, 50)
    assert weights.dtype == np.float32
    assert not (weights == 0).any()
    assert abs(int((weights > 0).sum()) - 200_000) < 5 * 317


@pytest.mark.parametrize(
    ("init", "deviation"),
    [
        ("signed_constant", math.sqrt(2 / 50)),
        ("kaiming_uniform", math.sqrt(2 / 50)),
        ("kaiming_normal", math.sqrt(2 / 50)),
        ("uniform", math.sqrt(1 / 3)),
    ],
)
@pytest.mark.parametrize("fan_density", [1.0, 0.25])
def test_moments(init: str, deviation: float, fan_density: float) -> None:
    weights = draw(init, MANY, 50, fan_density).astype(np.float64)
    expected = deviation / math.sqrt(fan_density)
    assert weights.std() == pytest.approx(expected, rel=0.01)
    assert abs(weights.mean()) < 5 * expected / math.sqrt(len(MANY))


def test_extreme_words_of_the_uniform_distributions() -> None:
    ends = np.array([0, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000], dtype=np.uint32)
    step = 2.0**-23
    assert draw("uniform", ends, 1).tolist() == [-1 + step, 1 - step, -step, step]
    bound = np.float32(math.sqrt(6 / 24))
    assert draw("kaiming_uniform", ends, 24).tolist() == [
        bound * u for u in (-1 + step, 1 - step, -step, step)
    ]


def test_signed_constant_takes_two_values() -> None:
    assert draw("signed_constant", np.array([4, 5], dtype=np.uint32), 8).tolist() == [0.5, -0.5]


def test_the_normal_table_holds_the_nearest_floats() -> None:
    # NormalDist is good to about 1e-16, so it differs from the exact table only where a quantile lies
    # that close to the middle of two floats: nowhere.
    normal = NormalDist()
    expected = [normal.inv_cdf(0.5 + (2 * row + 1) / 2**18) for row in range(1 << 16)]
    assert np.array_equal(normal_quantiles(), np.array(expected).astype(np.float32))


def test_a_normal_weight_is_a_row_and_a_sign() -> None:
    words = np.array([0, 1, 0xFFFF0000, 0xFFFFFFFF], dtype=np.uint32)
    first, last = normal_quantiles()[[0, -1]]
    assert draw("kaiming_normal", words, 2).tolist() == [first, -first, last, -last]


def test_unknown_distribution_names_the_nearest() -> None:
    with pytest.raises(ArgumentError, match="unknown init 'kaiming_norm': did you mean 'kaiming_normal'"):
        draw("kaiming_norm", WORDS, 3)
