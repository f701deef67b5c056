"""Recipes of a user's own are held to the rules, each once with each of its settings."""

from typing import Any

import pytest

from bench.errors import UsageError
from bench.sweeps import conformance


class Recipe:
    """Of a function that this process alone knows."""

    function = len


def test_a_recipe_is_held_to_the_rules_once_with_each_of_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    rules = {"reason": ""}

    def broken(name: str, overrides: dict[str, Any]) -> str:
        asked.append((name, overrides))
        return rules["reason"]

    recipe = Recipe()
    monkeypatch.setattr(conformance, "broken", broken)
    monkeypatch.setattr(conformance, "_checked", set())
    monkeypatch.setattr(conformance.registry, "get", lambda _: recipe)
    for _ in range(2):
        conformance.check([("mine", {"latent": 2}), ("mine", {"latent": 3}), ("mine", {"latent": 2})])
    assert asked == [("mine", {"latent": 2}), ("mine", {"latent": 3})]
    # One that breaks a rule is asked about again: its file may be another by then.
    rules["reason"] = "it breaks one"
    for _ in range(2):
        with pytest.raises(UsageError, match="variant 'mine' cannot be trained: it breaks one"):
            conformance.check([("mine", {"latent": 4})])
    assert len(asked) == 4
