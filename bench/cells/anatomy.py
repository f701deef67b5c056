"""What a variant is made of and what may be measured of it, told from a model that is built and not trained."""

import inspect
from typing import Any

import torch

from bench.judge.bounds import given, parameter_count
from bench.judge.counted import MOST_STATES
from bench.judge.gaps import own_family
from variants import DataSpec, registry
from variants.core import VAE, is_real
from variants.core.support import state_count, where
from variants.parts import PARTS, part_names

# A variant is tried on these in turn: an image as MNIST's, grey or not, and a vector.
SPECS = (
    DataSpec((1, 28, 28), "binary", 50_000),
    DataSpec((1, 28, 28), "unit", 50_000),
    DataSpec((16,), "real", 8_000),
    DataSpec((1, 28, 28), "levels", 50_000, levels=256),
    DataSpec((16,), "counts", 8_000),
    DataSpec((1, 28, 28), "binary", 50_000, classes=10, pairs=True),
)


def anatomy(name: str) -> dict[str, Any]:
    """Facts of one variant, in plain Python.

    Returns:
        What `Recipe.describe` says, and `text`: the recipe's docstring; `data`: the data it was built for; `parts`:
        role -> name and first words of its docstring; `keywords`: role -> keyword -> default; `parameters`: role ->
        trainable numbers; `samples`: draws a step; `evidence`: what is measured -> `"yes"`, or why not.

    Raises:
        RegistryError: no such variant, or one that cannot be loaded.
        ValueError: it accepts none of `SPECS`.
    """
    recipe = registry.get(name)
    text = inspect.getdoc(recipe.load()) or ""
    refused: list[str] = []
    for spec in SPECS:
        try:
            model = registry.seeded(name, spec, 0)
        except ValueError as error:
            refused.append(str(error))
            continue
        return recipe.describe() | {
            "text": text,
            "data": f"{spec.kind} {' x '.join(map(str, spec.shape))}" + (", labels, pairs" if spec.pairs else ""),
            "parts": {role: [part, _says(model, role, part)] for role, part in part_names(model).items()},
            "keywords": {role: _plain(keywords) for role, keywords in model.options.items()},
            "parameters": {role: parameter_count(getattr(model, role)) for role, _ in model.named_children()},
            "samples": model.objective.samples,
            "evidence": _evidence(model, spec),
        }
    raise ValueError(f"{name} accepts none of the data that it was tried on: {'; '.join(refused)}")


def _says(model: VAE, role: str, part: str) -> str:
    """The first paragraph of a part's docstring, its formula, without the source."""
    source = PARTS["network"].get(part) if role == "network" else type(getattr(model, role))
    first = (inspect.getdoc(source) or "").split("\n\n")[0] if source else ""
    return " ".join(first.split()).partition(" Source:")[0]


def _plain(keywords: dict[str, Any]) -> dict[str, Any]:
    """Parts that somebody gives for an option by their names."""
    return {name: getattr(value, "__name__", value) for name, value in keywords.items()}


@torch.no_grad()
def _evidence(model: VAE, spec: DataSpec) -> dict[str, str]:
    names = ("ELBO", "NLL by importance sampling", "NLL, exact", "gaps of Gaussian posteriors", "its own gaps", "AIS")
    if not model.has_bound:
        return dict.fromkeys(names, "no: without a density q(z|x) there is no bound")
    terms = model.eval().terms(given(model, torch.zeros(2, *spec.shape), torch.zeros(2, dtype=torch.long)))
    count = state_count(terms.p)
    exact = "no: its latents cannot be counted"
    if count is not None:
        exact = (
            "yes"
            if count <= MOST_STATES
            else f"no: {count:,} states are more than {MOST_STATES:,}; choose a smaller latent"
        )
    elsewhere = [
        f"no: {what} lives on {where(d)}" for what, d in (("q(z|x)", terms.q), ("p(z)", terms.p)) if not is_real(d)
    ]
    gaps = elsewhere[0] if elsewhere else "yes"
    own_gap = gaps if elsewhere or own_family(terms.q) else "no: q(z|x) is no Gaussian whose best member could be found"
    annealed = "yes" if is_real(terms.p) else elsewhere[-1]
    sampled = "yes" if model.covers else "no: q(z|x) is one point, and misses the rest of p(z|x)"
    kl = f"yes, with the KL {'in closed form' if terms.kl_method == 'closed_form' else 'by Monte Carlo'}"
    return dict(zip(names, (kl, sampled, exact, gaps, own_gap, annealed), strict=True))
