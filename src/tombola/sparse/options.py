"""Checks of options that several methods have."""

from __future__ import annotations

from numbers import Integral, Real

from tombola.errors import ArgumentError


def check_steps(name: str, value: int, least: int = 1) -> int:
    """`value` as an int. Raises ArgumentError unless it is a number of steps of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ArgumentError(f"{name} is a whole number of at least {least}, got {value!r}")
    return int(value)


def check_fraction(name: str, value: float) -> float:
    """`value` as a float. Raises ArgumentError unless it lies in (0, 1)."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0.0 < value < 1.0:
        raise ArgumentError(f"{name} must be in (0, 1), got {value!r}")
    return float(value)
