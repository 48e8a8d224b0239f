"""Tolerances that no width can reach: refused before anything is drawn, with the least that will do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from construction_helpers import EVERY, pairs

from tombola.errors import ArgumentError
from tombola.theory import construct, subset_sum
from tombola.theory.attainable import least_tolerance
from tombola.theory.construction import CONSTRUCTIONS
from tombola.theory.plan import plan_layers
from tombola.theory.target import read_target

every_construction = pytest.mark.parametrize("construction", EVERY)


@every_construction
@pytest.mark.parametrize("asked", ["tolerance", "error"])
def test_what_no_width_can_reach_is_refused_at_once(
    construction: str, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is named in its place is enough. (With fewer redraws and candidates, to be fast.)"""
    for name, value in (("attainable.MOST", 14), ("rows.MOST", 14)):
        monkeypatch.setattr(f"tombola.theory.{name}", value)
    for module in ("attainable", "redraw"):
        monkeypatch.setattr(f"tombola.theory.{module}.GENERATIONS", 1 << 12)
    target = pairs([4, 5, 3])
    options: dict[str, Any] = {asked: 1e-9}
    with monkeypatch.context() as nothing_drawn, pytest.raises(ArgumentError) as caught:
        nothing_drawn.setitem(CONSTRUCTIONS, construction, lambda *_: pytest.fail("it has begun"))
        construct(target, construction=construction, **options)
    message = str(caught.value)
    assert f"{asked} 1e-09 is out of reach of {construction}" in message
    assert "\n" not in message
    named = float(message.rsplit(" ", 1)[1])
    options[asked] = named
    result = construct(target, construction=construction, **options)
    assert (result.parameter_error if asked == "tolerance" else result.error_bound) <= named
    assert (result.error_bound if asked == "error" else result.parameter_error) > 1e-9


@pytest.mark.parametrize("options", [{"tolerance": 1e-10}, {"error": 1e-9}])
@every_construction
def test_the_least_that_can_be_asked_for(construction: str, options: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match="sums of 30 candidates|1048576 redraws"):
        construct(pairs([4, 5, 3]), construction=construction, **options)


def test_sums_fail_as_rarely_as_the_least_tolerance_says() -> None:
    """Of the sums of 30 candidates within it, one at most in twice as many as there are misses."""
    random = np.random.default_rng(0)
    layers = read_target([(random.uniform(-1, 1, (10, 20)), None)])
    (plan,) = plan_layers(layers, [1e-9], nonnegative=True)
    least = least_tolerance([plan], 0, "two_layers") / plan.gain
    values = random.uniform(-1, 1, (200, 30)) * random.uniform(0.5, 1, (200, 30))
    found = subset_sum(plan.layer.weight.reshape(-1) / plan.gain, values, least)
    assert np.count_nonzero(~found.solved) <= 2
    assert np.count_nonzero(found.errors > least / 400) > 20
