"""The conformance suite: what every variant must satisfy. Our tests loop it over the registry; plugins' tests call it.

    from variants.testing import check_variant

    def test_mine():
        check_variant("mine")

The numeric checks run in float64 on models as they are initialised, with fixed seeds: they pass or fail the same way
every time. What is estimated by Monte Carlo may be off by at most `STANDARD_ERRORS` standard errors.
"""

from collections.abc import Callable
from typing import Any

import torch

from variants.core.vae import VAE
from variants.registry import Recipe, get
from variants.testing import bounds, densities, form, gradients, reproducible
from variants.testing.case import OTHER_SPECS, SPECS, STANDARD_ERRORS, Case, ConformanceError, global_state, one_line

__all__ = ["CHECKS", "SPECS", "STANDARD_ERRORS", "ConformanceError", "check_variant"]

CHECKS: tuple[Callable[[Case], None], ...] = (
    form.parts,
    form.support,
    form.shapes,
    form.finite_terms,
    reproducible.same_seed,
    reproducible.save_and_load,
    reproducible.evaluation_mode,
    form.float64,
    bounds.one_likelihood,
    densities.densities,
    bounds.kl,
    bounds.bounds,
    bounds.batch_mates,
    gradients.gradients,
    gradients.players,
    gradients.reparameterised_samples,
    gradients.path_derivative,
)


def check_variant(recipe: str | Recipe | Callable[..., VAE], **overrides: Any) -> None:
    """Hold a variant to every rule of the benchmark, on several small data specs.

    A spec that the recipe refuses with a ValueError (images only, say) is passed over; at least one must be accepted.
    Specs of levels, of counts and of pairs with labels are tried where all others are refused.

    Args:
        recipe: a registered name, a `Recipe`, or the recipe function itself.
        **overrides: keywords of the recipe and of its parts, as for `variants.build`.

    Raises:
        ConformanceError: an AssertionError; the first rule that is broken, in one line.
        RegistryError: an unknown or unavailable name.
    """
    if isinstance(recipe, str):
        recipe = get(recipe)
    name = recipe.name if isinstance(recipe, Recipe) else getattr(recipe, "__name__", repr(recipe))
    function = recipe.load() if isinstance(recipe, Recipe) else recipe
    before = global_state()
    refused: list[str] = []
    try:
        with torch.random.fork_rng(devices=[]):
            for data in (*SPECS, *OTHER_SPECS):
                if data in OTHER_SPECS and len(refused) < len(SPECS):
                    break
                case = Case(name, function, data, overrides)
                try:
                    case.model()
                except ValueError as error:
                    refused.append(f"{data.kind} {data.shape}: {one_line(error)}")
                    continue
                except Exception as error:
                    raise case.error("build", one_line(error)) from error
                for check in CHECKS:
                    try:
                        case.run(check)
                    finally:  # a changed state is reported first: it can cause any other failure
                        case.unchanged(before)
    finally:
        torch.set_default_dtype(before["default dtype"])
        torch.set_num_threads(before["number of threads"])
        torch.set_grad_enabled(before["gradient mode"])
    if len(refused) == len(SPECS) + len(OTHER_SPECS):
        raise ConformanceError(f"variant {name!r} accepts no data: {'; '.join(refused)}")
