"""Every option of every part does something, and is refused out of its range; and what parts say of themselves."""

import math
import re
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from tests.variants.beside import BESIDE, data_for
from tests.variants.test_parts import KINDS
from variants import DataSpec
from variants.core import Batch
from variants.parts import FROM_MODEL, PARTS, assemble, options_of
from variants.testing.case import Case

EVERY = [(role, name) for role in PARTS for name in PARTS[role]]
# Models small enough for hundreds of them.
SMALL: dict[str, Any] = {
    **dict.fromkeys(("hidden", "top_hidden", "class_hidden", "critic_hidden", "prior_hidden"), (4,)),
    **dict.fromkeys(("trunk_width", "flow_width", "refine_width", "order_width", "trunk_channels", "width"), 6),
    **dict.fromkeys(("pseudo_inputs", "components", "codes", "pixel_filters"), 5),
    "channels": (2, 3),
}
# Another value, where it is not the default and a bit more or less.
OTHER: dict[str, Any] = {
    **{"activation": "tanh", "sharing": "product", "top_prior": "vamp", "sigma": 0.5, "df": 7.0, "squash": False},
    **{"inner": 1, "window": 1, "cycles": 2, "estimates": 4, "quant_levels": (4, 5, 5, 5)},
    **{"top": 3, "rank": 1, "columns": 3, "layers": 2, "classes": 4, "code_size": 3, "discrete_capacity": 0.5},
    **{"warmup_epochs": 20, "capacity_epochs": 20, "temperature_floor": 0.99},
}
# What an option needs beside it.
NEEDED: dict[str, dict[str, Any]] = {
    "order_width": {"autoregressive": True},
    "top_prior": {"posterior": "top_down"},
}
# Sizes of maps, which latents must fit; and what one part is told and another acts upon.
LEFT_OUT = {("posterior", "spatial"), ("posterior", "code_depth"), *((role, "layers_at") for role in PARTS)}


def data_of(role: str, name: str) -> DataSpec:
    data = KINDS.get(name, data_for(name)) if role == "likelihood" else data_for(name)
    return replace(data, mean=lambda: np.linspace(0.2, 0.7, data.dims).reshape(data.shape))


def parts_of(role: str, name: str) -> dict[str, Any]:
    if name == "deterministic":
        return {"latent": 12, "posterior": name, "objective": "reconstruction"}
    beside = BESIDE.get(name, {}) if name == "conv_ladder" or role not in ("network", "likelihood") else {}
    return {"latent": 12} | beside | {role: name}


def losses(data: DataSpec, options: dict[str, Any], changed: dict[str, Any] | None = None) -> tuple[Any, ...]:
    """Of a small model at several epochs, what it keeps beside its weights, and what of that no checkpoint has."""
    chosen = {"network": "mlp", "posterior": "diagonal", "prior": "standard_normal", "objective": "elbo"} | options
    taken = {
        option for role, part in PARTS.items() if chosen.get(role) in part for option in options_of(part[chosen[role]])
    }
    torch.manual_seed(0)
    model = assemble(
        data, **{option: size for option, size in SMALL.items() if option in taken} | options | (changed or {})
    ).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    batch = Case("", assemble, data).batch(dtype=torch.float64)
    given = Batch(batch.x, y=batch.c, c=batch.c)
    before = {name: value.clone() for name, value in model.named_buffers()}
    torch.manual_seed(1)
    found = [model.train().loss(given, epoch) for epoch in (1.5, 3.5, 11.0)]
    found[-1].sum().backward()
    slopes = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    now, saved = dict(model.named_buffers()), model.state_dict()
    lost = [name for name, value in now.items() if name not in saved and not torch.equal(value, before[name])]
    numbers = [*torch.cat(found).tolist(), sum(slope.abs().sum().item() for slope in slopes)]
    assert all(map(math.isfinite, numbers))
    return numbers, {name: value.tolist() for name, value in now.items()}, dict(model.objective.adam), lost


def another(option: str, default: Any) -> Any:
    if option in OTHER:
        return OTHER[option]
    if option == "samples":
        return default + 2
    if isinstance(default, bool):
        return not default
    if isinstance(default, tuple):
        return (*default, 3)
    return default + 1 if isinstance(default, int) else 0.6 * default or 0.5


@pytest.mark.parametrize(("role", "name"), EVERY)
def test_every_option_does_something(role: str, name: str) -> None:
    data, parts = data_of(role, name), parts_of(role, name)
    before, ignored = losses(data, parts), []
    assert before[-1] == [], "a training that is resumed would not be the one that was stopped"
    for option, default in options_of(PARTS[role][name]).items():
        if option in (*FROM_MODEL, "numbers") or (role, option) in LEFT_OUT:
            continue
        needed = NEEDED.get(option, {})
        if (name, option) == ("hierarchical", "pseudo_inputs"):
            needed = {"posterior": "top_down", "top_prior": "vamp"}
        first = losses(data, parts | needed) if needed else before
        changed: dict[str, Any] = {option: another(option, SMALL.get(option, default))}
        if option == "activation":  # which other parts take too
            changed = {role: partial(PARTS[role][name], **changed)}
        if losses(data, parts | needed, changed) == first:
            ignored.append(option)
    assert ignored == []


# Of others -1 and 0 are out of range. With an `mmd` of -1 or 0 it is alpha that is refused.
MAY_BE_NEGATIVE = {("renyi", "alpha"), ("info_vae", "alpha"), ("info_vae", "mmd"), ("geco", "kappa")}
MAY_BE_ZERO = {
    *("blocks", "corruption", "bn_scale", "refinements", "leapfrogs", "temperature_decay", "correlation", "code_decay"),
    *("pixel_layers", "warmup_epochs", "beta", "gamma", "capacity", "capacity_epochs", "off_diagonal", "diagonal"),
    *("free_nats", "discrete_capacity", "multiplier_rate", "alpha", "kappa", "commitment", "entropy_weight"),
    *("elbo_weight", "lagging_epochs", "inner", "adversary", "mmd", "sliced", "code_penalty", "decay", "slope_penalty"),
}
MUST_BE_ABOVE_ZERO = {("vae_gan", "gamma")}
NUMBERS = {"rank", "top", "columns", "layers", "classes", "code_size", "width", "discrete_capacity", "sigma", "df"}


def out_of_range(name: str, option: str, default: Any) -> list[Any]:
    if isinstance(default, bool):
        return [1, "yes", None]
    if isinstance(default, tuple):
        return [(), (0,), (-1, 2), "4"]
    if not isinstance(default, int | float) and option not in NUMBERS:
        return ["no such word"]
    wrong: list[Any] = [True, math.nan, math.inf] + [-1] * ((name, option) not in MAY_BE_NEGATIVE)
    return wrong + [0] * (option not in MAY_BE_ZERO or (name, option) in MUST_BE_ABOVE_ZERO)


def alone(role: str, name: str, options: dict[str, Any]) -> object:
    """A part without those beside it."""
    part, data, latent = PARTS[role][name], KINDS.get(name, data_for(name)), 384 if name == "conv_ladder" else 32
    features = 512 if name == "conv_residual_top_down" else 16
    given = {"data_size": 40, "data_spec": data, "latent_size": latent, "layers_at": (1, 1), "top_prior": "vamp"}
    placed = {"network": (data, latent), "posterior": (features, latent), "prior": (latent,), "likelihood": (data,)}
    known = options_of(part).keys()
    return part(*placed.get(role, ()), **{key: value for key, value in given.items() if key in known} | options)


@pytest.mark.parametrize(("role", "name"), EVERY)
def test_every_option_says_by_its_name_what_it_cannot_be(role: str, name: str) -> None:
    alone(role, name, {})
    for option, default in options_of(PARTS[role][name]).items():
        if option in (*FROM_MODEL, "numbers"):
            continue
        for value in out_of_range(name, option, default):
            got = value[0] if value in [(0,), (-1, 2)] else value
            with pytest.raises(ValueError, match=f"^{option} (of .* )?must be .*, got {re.escape(repr(got))}$"):
                alone(role, name, {option: value})


def test_what_no_compiled_graph_can_hold_says_so() -> None:
    """Hooks on a gradient, a gradient within the loss, draws that go on for as long as it takes, parts in turns."""
    found = {name for parts in PARTS.values() for name, part in parts.items() if getattr(part, "eager", False)}
    of_posteriors = {"semi_amortised", "iterative", "hamiltonian", "hyperspherical"}
    assert found == of_posteriors | {"iwae_dreg", "partial_iwae", "lagging", "rae_gp"}


def test_single_latents_are_known_of_independent_and_of_gaussian_ones() -> None:
    found = {name for name, part in PARTS["posterior"].items() if part.has_marginals}  # type: ignore[attr-defined]
    gaussian = {"diagonal", "batch_norm", "full", "low_rank", "householder", "semi_amortised", "iterative", "paired"}
    assert found == gaussian | {"laplace", "bernoulli", "concrete"}
