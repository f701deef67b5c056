"""Range checks shared by the parts, so that a bad value is named in one line."""

import math
from collections.abc import Sequence
from numbers import Real


def at_least(name: str, value: object, low: int) -> int:
    """`value` as a whole number not below `low`; ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ValueError(f"{name} must be a whole number of at least {low}, got {value!r}")
    return value


def number(name: str, value: object) -> float:
    """`value` as a finite number; ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(float(value)):
        raise ValueError(f"{name} must be a number, got {value!r}")
    return float(value)


def share(name: str, value: object) -> float:
    """`value` as a number from 0 up to, but not at, 1; ValueError otherwise."""
    if not 0 <= number(name, value) < 1:
        raise ValueError(f"{name} must be a number of at least 0 and below 1, got {value!r}")
    return number(name, value)


def positive(name: str, value: object) -> float:
    """`value` as a finite number above zero; ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < math.inf:
        raise ValueError(f"{name} must be a number above 0, got {value!r}")
    return float(value)


def not_negative(name: str, value: object) -> float:
    """`value` as a finite number of at least zero; ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) < math.inf:
        raise ValueError(f"{name} must be a number of at least 0, got {value!r}")
    return float(value)


def between(name: str, value: object, low: float, high: float) -> float:
    """`value` as a number from `low` to `high`; ValueError otherwise."""
    if not low <= number(name, value) <= high:
        raise ValueError(f"{name} must be a number from {low:g} to {high:g}, got {value!r}")
    return number(name, value)


def sizes(name: str, value: object) -> tuple[int, ...]:
    """`value` as a non-empty tuple of layer sizes; ValueError otherwise."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = (value,)
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise ValueError(f"{name} must be a list of whole numbers, got {value!r}")
    return tuple(at_least(name, size, 1) for size in value)


def flag(name: str, value: object) -> bool:
    """`value` as true or false; ValueError otherwise."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false, got {value!r}")
    return value
