"""Agreement of codes: the same axes agree wholly, others hardly, and every axis counts alike."""

from typing import Any

import numpy as np
import pytest

import bench as vb
from bench.errors import UsageError
from bench.judge import udr

RANDOM = np.random.default_rng(0)


def test_axes_in_another_order_of_another_sign_and_stretched_are_the_same() -> None:
    # Without a chance correlation beside an axis's own there is nothing to divide by but that.
    a = np.stack(np.meshgrid(*[np.arange(8.0)] * 3), -1).reshape(-1, 3)
    b = np.stack([-a[:, 2], np.exp(a[:, 0]), 3 * a[:, 1]], -1)
    assert udr.agreement(a, b) == pytest.approx(1)
    assert udr.agreement(a, a) == pytest.approx(1)


def test_codes_of_nothing_in_common_hardly_agree() -> None:
    a, b = RANDOM.normal(size=(2, 20_000, 5))
    assert udr.agreement(a, b) < 0.02
    assert udr.agreement(a, b[:, :0]) == udr.agreement(a[:, :0], b) == 0


def test_a_rotation_costs_what_the_formula_says() -> None:
    """Two independent normal axes turned by 45 degrees: each rank correlation is r = 6 / pi asin(sqrt(1/2) / 2)."""
    a = RANDOM.normal(size=(200_000, 2))
    b = a @ np.array([[1, 1], [-1, 1]]) / np.sqrt(2)
    r = 6 / np.pi * np.arcsin(np.sqrt(0.5) / 2)
    assert udr.agreement(a, b) == pytest.approx(r / 2, abs=0.01)


def test_each_axis_counts_alike_where_one_code_has_more() -> None:
    """One axis and the same with three of noise: of five axes two are found, and not the half of one and a quarter."""
    a = RANDOM.normal(size=(50_000, 4))
    assert udr.agreement(a[:, :1], a) == pytest.approx(2 / 5, abs=0.01)
    assert udr.agreement(a, a[:, :1]) == pytest.approx(udr.agreement(a[:, :1], a))


def test_a_score_is_the_median_over_the_other_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    a = RANDOM.normal(size=(5_000, 2))
    noise = RANDOM.normal(size=(5_000, 2))
    held = {"one": a, "two": a[:, ::-1], "three": -a, "four": 2 * a, "noise": noise, "dead": 0.01 * a}
    asked: list[Any] = []
    monkeypatch.setattr(udr, "codes", lambda model, *how: (held[model], asked.append(how)))
    models: Any = list(held)
    none: Any = None
    scores = dict(zip(models, udr.scores(models, none, 10), strict=True))
    assert asked == [(none, "test", 10)] * 6
    # Of the five others three agree wholly, one hardly, and one has no axis that is alive.
    assert scores["one"] == pytest.approx(udr.agreement(a, -a))
    assert scores["dead"] == 0
    assert scores["noise"] < 0.05


def test_seeds_of_a_variant_from_python() -> None:
    data = vb.dataset("digits")
    how: dict[str, Any] = {"epochs": 1, "latent": 2, "hidden": [8], "device": "cpu"}
    models = [vb.fit("vanilla", data, seed=seed, **how) for seed in (0, 1)]
    first, second = vb.udr(models, data)
    assert first == pytest.approx(second)
    assert 0 < first < 1
    assert vb.udr([models[0], models[0]], data, points=100)[0] > first
    with pytest.raises(UsageError, match="two models or more"):
        vb.udr(models[:1], data)
    with pytest.raises(UsageError, match="shape"):
        vb.udr(models, "mnist")
