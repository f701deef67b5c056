"""`@register(base=..., changes=...)` is an ablation's claim. Here base and variant are built with one seed."""

import pytest
import torch
from torch import nn

from variants import DataSpec, get, names
from variants.core import VAE
from variants.parts import part_names
from variants.registry import BUILT_IN, Claim, seeded

SPECS = (
    DataSpec((1, 6, 7), "binary", 40),
    DataSpec((3, 4, 4), "unit", 40),
    DataSpec((9,), "real", 40),
    DataSpec((3, 4, 4), "levels", 40, levels=4),
    DataSpec((9,), "counts", 40),
    DataSpec((1, 4, 5), "binary", 40, classes=3, pairs=True),
)
ROLES = {
    "network": ("encoder", "decoder"),
    "posterior": ("posterior",),
    "prior": ("prior",),
    "likelihood": ("likelihood",),
    "objective": ("objective",),
}


def claim(name: str) -> Claim:
    return get(name).load().claim  # type: ignore[attr-defined, no-any-return]


CLAIMING = [name for name in names() if get(name).sources == (BUILT_IN,) and claim(name).base]


def looks(part: nn.Module) -> dict[str, object]:
    """All that tells one part from another: classes and hyper-parameters of the module and of those inside it."""
    return {
        name: (type(module), {k: v for k, v in vars(module).items() if not k.startswith("_") and k != "training"})
        for name, module in part.named_modules()
    }


def same(a: nn.Module, b: nn.Module) -> bool:
    ours, theirs = ({**dict(m.named_parameters()), **dict(m.named_buffers())} for m in (a, b))
    return looks(a) == looks(b) and ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def differences(base: VAE, variant: VAE) -> set[str]:
    return {
        role
        for role, parts in ROLES.items()
        if not all(same(getattr(base, part), getattr(variant, part)) for part in parts)
    }


# Four latents are fewer than there are places.
AS_MANY_AS_IT_TAKES = ("deep_top_down_conv",)


def compare(name: str, data: DataSpec) -> set[str]:
    variant = seeded(name, data, 0, latent=None if name in AS_MANY_AS_IT_TAKES else 4)
    base = claim(name).base
    assert base is not None
    model = seeded(base, data, 0, latent=4)
    if "network" in claim(name).changes:
        # A network of another width forces another input width on the posterior: compare at equal width.
        model = seeded(base, data, 0, latent=4, hidden=(variant.encoder.features,))
    return differences(model, variant)


@pytest.mark.parametrize("name", CLAIMING)
def test_exactly_the_claimed_parts_differ(name: str) -> None:
    seen: set[str] = set()
    for data in SPECS:
        try:
            found = compare(name, data)
        except ValueError:
            continue
        assert found <= set(claim(name).changes), (
            f"{name} on {data} differs in {found}, it claims {claim(name).changes}"
        )
        seen |= found
    assert seen == set(claim(name).changes), f"{name} claims {claim(name).changes}, only {seen} differ"


@pytest.mark.parametrize("name", [name for name in names() if get(name).sources == (BUILT_IN,)])
def test_claims_are_well_formed(name: str) -> None:
    made = claim(name)
    assert set(made.changes) <= set(ROLES)
    assert made.base is None or made.base in names()
    assert bool(made.base) == bool(made.changes)
    assert made.paper
    # The listing reads the claim from the source text; it must be the one that the decorator made.
    row = get(name).describe()
    assert {key: row[key] for key in vars(made)} == vars(made)
    assert row["summary"] == (get(name).load().__doc__ or "").strip().split("\n")[0]


@pytest.mark.parametrize(
    ("override", "role"),
    [
        ({"hidden": (401,)}, "network"),
        ({"activation": "tanh"}, "network"),
        ({"posterior": "full"}, "posterior"),
        ({"shared_covariance": True}, "posterior"),
        ({"likelihood": "gaussian", "sigma": 1.0}, "likelihood"),
        ({"samples": 2}, "objective"),
        ({"warmup_epochs": 3}, "objective"),
    ],
)
def test_the_comparison_sees_every_kind_of_difference(override: dict[str, object], role: str) -> None:
    base, other = seeded("vanilla", SPECS[1], 0), seeded("vanilla", SPECS[1], 0, **override)
    assert role in differences(base, other)
    assert differences(base, seeded("vanilla", SPECS[1], 0)) == set()
    assert differences(base, seeded("vanilla", SPECS[1], 1)) >= {"network", "posterior"}


OVERRIDES = {"network": "linear", "posterior": "full", "prior": "standard_normal", "likelihood": "gaussian"}


def a_spec(name: str) -> DataSpec:
    """Grey images, or for a variant that refuses them the first data that it takes."""
    for data in (SPECS[1], *SPECS):
        try:
            seeded(name, data, 0)
        except ValueError:
            continue
        return data
    raise AssertionError(name)


# Parts that work only together.
REFUSED = dict.fromkeys(
    [("two_stage", "posterior"), ("two_stage", "prior")], "needs posterior=bottom_up and prior=hierarchical"
) | dict.fromkeys(
    [("ladder", "prior"), ("deep_top_down", "prior")], "needs the prior that owns it: choose prior=ladder_prior"
)

REFUSED["deep_top_down_conv", "prior"] = "choose prior=conv_ladder_prior"
REFUSED["deep_top_down_conv", "network"] = "choose network=conv_ladder"
REFUSED["vq_spatial", "network"] = "spatial codes need a network with a map"


@pytest.mark.parametrize("role", [*OVERRIDES, "objective"])
@pytest.mark.parametrize("name", [name for name in names() if get(name).sources == (BUILT_IN,)])
def test_every_part_of_every_variant_can_be_swapped_by_keyword(name: str, role: str) -> None:
    choice = (OVERRIDES | {"objective": "beta"})[role]
    if (name, role) in REFUSED:
        with pytest.raises(ValueError, match=REFUSED[name, role]):
            seeded(name, SPECS[1], 0, **{role: choice})
        return
    chosen = {role: choice}
    data = SPECS[1] if role == "likelihood" and not a_spec(name).pairs else a_spec(name)
    posterior = seeded(name, a_spec(name), 0).posterior
    kind = posterior.latents
    unmoved = getattr(seeded(name, a_spec(name), 0).prior, "codes_to_move", False) and not posterior.moves_codes
    bound = not posterior.has_path or unmoved
    if (kind != "real" and role in ("posterior", "prior")) or (bound and role == "objective"):
        # Parts of other latents cannot be swapped one by one, and say so: they are chosen together.
        with pytest.raises(ValueError, match=f"{kind} (latents|ones)|has no path|does not move the codes"):
            seeded(name, data, 0, **chosen)
        chosen = {"posterior": "full", "prior": "standard_normal", "objective": "elbo"} | chosen
    assert part_names(seeded(name, data, 0, **chosen))[role] == choice
