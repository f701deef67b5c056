"""What a variant and a part are where nothing else is asked for: what documents say, and what runs were trained as."""

from functools import partial
from typing import Any

import pytest

from variants import DataSpec, get, names
from variants.parts import (
    FROM_MODEL,
    PARTS,
    assemble,
    code_priors,
    codes,
    levels,
    likelihoods,
    networks,
    options_of,
    posteriors,
    priors,
    residual_conv,
)
from variants.parts.discrete import classes_of, joint_sizes
from variants.registry import BUILT_IN

PACE: dict[str, Any] = {"pace": 30.0}
ONE_DRAW: dict[str, Any] = {"samples": 1}
SAMPLED: dict[str, Any] = ONE_DRAW | {"warmup_epochs": 0}
FIVE_DRAWS: dict[str, Any] = {"samples": 5, "warmup_epochs": 0}
GROUPED: dict[str, Any] = {"samples": 8, "estimates": 2, "warmup_epochs": 0}
WARM: dict[str, Any] = {"warmup_epochs": 0}
ANNEALED: dict[str, Any] = {"temperature": 1.0, "temperature_decay": 0.05, "temperature_floor": 0.5}
ORDER: dict[str, Any] = {"autoregressive": False, "order_width": 128}
BOOK: dict[str, Any] = {"codes": 64, "code_size": None} | ORDER
LAYERED: dict[str, Any] = {"top": None, "top_hidden": (100,), "activation": "relu"}
TRUNK: dict[str, Any] = {"layers": None, "trunk_width": 128, "activation": "relu"}
MAPS: dict[str, Any] = {"layers_at": (2, 3, 3, 2), "trunk_channels": 32, "activation": "elu"}
DENSE: dict[str, Any] = {"hidden": (400,), "activation": "relu", "centre": True}
DIAGONAL: dict[str, Any] = {"shared_covariance": False} | PACE
OPTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "network": {
        "mlp": DENSE | {"corruption": 0.0},
        "skip": DENSE,
        "conv": {"channels": (16, 32), "width": 128, "activation": "elu", "centre": True, "corruption": 0.0},
        "residual_conv": {"channels": (32, 64), "blocks": 1, "width": 256, "activation": "elu", "centre": True}
        | {"spatial": False},
        "conv_ladder": MAPS | {"blocks": 1, "centre": True},
        "linear": {"centre": True},
    },
    "posterior": {
        "diagonal": DIAGONAL,
        "laplace": PACE,
        "batch_norm": {"bn_scale": 0.6} | PACE,
        "full": DIAGONAL,
        "low_rank": {"rank": None} | PACE,
        "bottom_up": LAYERED,
        "top_down": LAYERED,
        "planar": {"flows": 10, "shared_flow": False},
        "inverse_autoregressive": {"flows": 2, "flow_width": 320},
        "householder": {"flows": 10},
        "sylvester": {"flows": 4, "columns": None} | PACE,
        "spline": {"flows": 4, "flow_width": 128, "spline_bins": 8, "spline_bound": 4.0} | PACE,
        "semi_amortised": {"refinements": 3, "refine_rate": 0.5, "refine_pairs": 2} | PACE,
        "iterative": {"refinements": 3, "refine_width": 128, "refine_pairs": 2} | PACE,
        "hamiltonian": {"leapfrogs": 3, "leapfrog_size": 0.2, "heat": 1.5},
        "hyperspherical": PACE,
        "poincare": {"curvature": 0.7} | PACE,
        "deterministic": {},
        "bernoulli": {},
        "concrete": {"temperature": 2 / 3},
        "one_hots": {"classes": None},
        "gumbel_softmax": {"classes": None, "hard": False} | ANNEALED,
        "joint": {"classes": None, "temperature": 0.67},
        "labelled": {"classes": None, "class_hidden": (100,)},
        "given_class": {"class_hidden": (100,)},
        "paired": {"sharing": "average"} | PACE,
        "codes": {"code_depth": 1, "spatial": False},
        "grid_codes": {"spatial": False},
        "sign_codes": {"spatial": False},
        "stochastic_codes": {"spatial": False} | ANNEALED,
        "precision_weighted": TRUNK,
        "residual_top_down": TRUNK,
        "conv_residual_top_down": MAPS,
    },
    "prior": {
        "standard_normal": {},
        "laplace": {},
        "gaussian_mixture": {"components": 500},
        "full_gaussian_mixture": {"components": 10},
        "flow": {"prior_flows": 6, "prior_hidden": (64, 64)},
        "vamp": {"pseudo_inputs": 500},
        "hierarchical": LAYERED | {"skip": False, "top_prior": "standard_normal", "pseudo_inputs": 500},
        "with_momentum": {},
        "uniform_sphere": {},
        "wrapped_normal": {"curvature": 0.7},
        "autoregressive_normal": {"correlation": 0.95},
        "bernoulli": {"learned_prior": True},
        "concrete": {"learned_prior": True, "prior_temperature": 0.5},
        "one_hots": {"classes": None},
        "joint": {"classes": None},
        "labelled_prior": {"classes": None},
        "given_class_prior": {},
        "codes": BOOK,
        "average_codes": BOOK | {"code_decay": 0.99},
        "residual_codes": BOOK | {"code_depth": 2},
        "grid_codes": {"quant_levels": (8, 5, 5, 5)} | ORDER,
        "sign_codes": {"code_size": None} | ORDER,
        "ladder_prior": TRUNK,
        "conv_ladder_prior": MAPS,
    },
    "likelihood": {
        "bernoulli": {"output_bias": False},
        "continuous_bernoulli": {},
        "gaussian": {"sigma": "learned", "squash": None},
        "student_t": {"df": "learned", "sigma": "learned", "squash": None},
        "heteroscedastic": {"floor": 0.01, "squash": None},
        "discretised_logistic": {"mixtures": 1},
        "categorical_pixels": {},
        "beta_binomial": {},
        "poisson": {},
        "negative_binomial": {},
        "zero_inflated_negative_binomial": {},
        "pixel_decoder": {"context_maps": 4, "pixel_filters": 32, "pixel_layers": 2},
    },
    "objective": {
        "elbo": SAMPLED,
        "beta": SAMPLED | {"beta": 4.0},
        "iwae": FIVE_DRAWS,
        "iwae_dreg": FIVE_DRAWS,
        "sticking_the_landing": SAMPLED,
        "total_correlation": SAMPLED | {"beta": 6.0},
        "reconstruction": {},
        "staged": SAMPLED,
        "renyi": FIVE_DRAWS | {"alpha": 0.5},
        "vr_max": FIVE_DRAWS,
        "multiply_iwae": GROUPED,
        "partial_iwae": GROUPED,
        "combination_iwae": FIVE_DRAWS | {"elbo_weight": 0.05},
        "thermodynamic": {"intervals": 5, "beta_min": 0.01, "samples": 5},
        "reweighted_wake_sleep": {"samples": 10},
        "capacity": ONE_DRAW | {"gamma": 1000.0, "capacity": 25.0, "capacity_epochs": 10},
        "cyclical": ONE_DRAW | {"cycles": 4, "cycle_epochs": 5, "rise": 0.5},
        "info_vae": SAMPLED | {"alpha": 0.0, "mmd": 1000.0, "width": None},
        "dip_i": SAMPLED | {"off_diagonal": 10.0, "diagonal": 100.0},
        "dip_ii": SAMPLED | {"off_diagonal": 10.0, "diagonal": 10.0},
        "vimco": FIVE_DRAWS,
        "disarm": SAMPLED,
        "free_bits": ONE_DRAW | {"free_nats": 0.25},
        "joint_capacity": ONE_DRAW | {"gamma": 30.0, "capacity": 5.0, "discrete_capacity": None, "capacity_epochs": 5},
        "geco": ONE_DRAW | {"kappa": 0.12, "multiplier_rate": 0.1},
        "semi_supervised": SAMPLED | {"alpha": 0.1},
        "vq": WARM | {"commitment": 0.25},
        "lfq": WARM | {"commitment": 0.25, "entropy_weight": 0.1, "sharpness": 1.0},
        "factor": SAMPLED | {"gamma": 10.0, "critic_hidden": (256, 256, 256)},
        "lagging": SAMPLED | {"lagging_epochs": 3, "inner": 100, "window": 10},
        "adversarial": SAMPLED | {"adversary": 10.0, "critic_hidden": (256, 256)},
        "vae_gan": SAMPLED | {"gamma": 1.0, "adversary": 1.0, "critic_hidden": (256, 128)},
        "wae_mmd": SAMPLED | {"mmd": 10.0},
        "sliced_wasserstein": SAMPLED | {"sliced": 10.0, "directions": 50},
        "rae_l2": {"code_penalty": 1e-4, "decay": 1e-7},
        "rae_gp": {"code_penalty": 1e-4, "slope_penalty": 0.01},
    },
}


@pytest.mark.parametrize("role", PARTS)
def test_options_of_every_part_are_those_that_papers_or_decisions_give(role: str) -> None:
    given = (*FROM_MODEL, "numbers")
    found = {
        name: {option: default for option, default in options_of(part).items() if option not in given}
        for name, part in PARTS[role].items()
    }
    assert found == OPTIONS[role]


def test_a_model_of_no_words_is_a_dense_gaussian_one_of_twenty_latents() -> None:
    assert options_of(assemble) == {
        **{"latent": 20, "network": "mlp", "posterior": "diagonal", "prior": "standard_normal", "likelihood": "auto"},
        **{"objective": "elbo", "init": "torch", "encoder": None, "decoder": None},
    }


@pytest.mark.parametrize("name", [name for name, options in OPTIONS["objective"].items() if "samples" in options])
def test_an_objective_draws_and_warms_up_as_it_is_asked_to(name: str) -> None:
    part = PARTS["objective"][name]
    given = {"data_size": 40, "data_spec": DataSpec((4,), "real", 40), "latent_size": 3, "warmup_epochs": 7}
    given |= {"capacity_epochs": 7, "samples": 6}
    made = part(**{option: value for option, value in given.items() if option in options_of(part)})
    assert made.samples == 6
    if {"warmup_epochs", "capacity_epochs"} & options_of(part).keys():
        assert made.warmup_epochs == 7


def test_sizes_that_follow_from_the_latents_are_the_largest_that_are_meant() -> None:
    real = DataSpec((4,), "real", 40)
    assert [assemble(real, latent=d, posterior="low_rank").posterior.rank for d in (1, 2, 9)] == [1, 2, 2]
    assert [assemble(real, latent=d, posterior="sylvester").posterior.columns for d in (2, 8, 9)] == [2, 8, 8]
    assert [classes_of(latent, None) for latent in (200, 14, 9)] == [(20, 10), (2, 7), (1, 9)]
    assert [joint_sizes(latent, None) for latent in (40, 20, 9)] == [(30, 10), (10, 10), (5, 4)]


CHOICES: dict[str, dict[str, Any]] = {
    "ada_gvae": {"posterior": "paired"},
    "adversarial": {"objective": "adversarial"},
    "autoencoder": {
        **{"posterior": "deterministic", "likelihood": (likelihoods.Gaussian, {"sigma": 1.0})},
        **{"objective": "reconstruction"},
    },
    "batch_norm_posterior": {"posterior": "batch_norm"},
    "bernoulli_disarm": {"objective": "disarm"},
    "bernoulli_vimco": {"posterior": "bernoulli", "prior": "bernoulli", "objective": "vimco"},
    "beta": {"objective": "beta"},
    "beta_binomial": {"likelihood": "beta_binomial"},
    "beta_tc": {"objective": "total_correlation"},
    "capacity": {"objective": "capacity"},
    "categorical_pixels": {"likelihood": "categorical_pixels"},
    "combination_iwae": {"objective": "combination_iwae"},
    "concrete": {"posterior": "concrete", "prior": "concrete"},
    "conditional": {"posterior": "given_class", "prior": "given_class_prior"},
    "conv": {"network": "conv"},
    "conv_full_covariance": {"posterior": "full"},
    "cyclical": {"objective": "cyclical"},
    "deep_top_down": {
        **{"latent": 40, "posterior": "residual_top_down", "prior": "ladder_prior"},
        **{"objective": "free_bits"},
    },
    "deep_top_down_conv": {
        **{"latent": None, "layers_at": (2, 3, 3, 2), "network": "conv_ladder"},
        **{"posterior": "conv_residual_top_down", "prior": "conv_ladder_prior", "objective": "free_bits"},
    },
    "delta": {"prior": "autoregressive_normal"},
    "denoising": {"network": (networks.mlp, {"corruption": 0.1})},
    "dip_i": {"objective": "dip_i"},
    "dip_ii": {"objective": "dip_ii"},
    "discretised_logistic": {"likelihood": (levels.DiscretisedLogistic, {"mixtures": 10})},
    "factor": {"objective": "factor"},
    "flow_prior": {"prior": "flow"},
    "free_bits": {"objective": "free_bits"},
    "fsq": {"latent": 64, "posterior": "grid_codes", "prior": "grid_codes"},
    "full_covariance": {"posterior": "full"},
    "gated": {"network": (networks.mlp, {"activation": "gated"})},
    "geco": {"objective": "geco"},
    "gumbel_softmax": {"latent": 200, "posterior": "gumbel_softmax", "prior": "one_hots"},
    "hamiltonian": {
        **{"latent": 40, "network": (networks.mlp, {"activation": "silu"})},
        **{"posterior": "hamiltonian", "prior": "with_momentum"},
    },
    "heteroscedastic": {"likelihood": "heteroscedastic"},
    "hierarchical": {"posterior": "bottom_up", "prior": "hierarchical"},
    "hierarchical_top_down": {"posterior": "top_down", "prior": (priors.Hierarchical, {"skip": True})},
    "hierarchical_vamp": {"prior": (priors.Hierarchical, {"skip": True, "top_prior": "vamp"})},
    "householder_flow": {"posterior": "householder"},
    "hyperspherical": {"posterior": "hyperspherical", "prior": "uniform_sphere"},
    "info_vae": {"objective": "info_vae"},
    "inverse_autoregressive_flow": {"posterior": "inverse_autoregressive"},
    "iterative": {"posterior": "iterative"},
    "iwae": {"objective": "iwae"},
    "iwae_dreg": {"objective": "iwae_dreg"},
    "joint": {"posterior": "joint", "prior": "joint", "objective": "joint_capacity"},
    "ladder": {"latent": 40, "posterior": "precision_weighted", "prior": "ladder_prior"},
    "lagging": {"objective": "lagging"},
    "laplace": {"posterior": "laplace", "prior": "laplace"},
    "lfq": {"latent": 64, "posterior": "sign_codes", "prior": "sign_codes", "objective": "lfq"},
    "linear": {
        **{"network": "linear", "posterior": (posteriors.Diagonal, {"shared_covariance": True})},
        **{"likelihood": (likelihoods.Gaussian, {"squash": False})},
    },
    "low_rank": {"posterior": "low_rank"},
    "mixture_prior": {"prior": "gaussian_mixture"},
    "multiply_iwae": {"objective": "multiply_iwae"},
    "negative_binomial": {"likelihood": "negative_binomial"},
    "partial_iwae": {"objective": "partial_iwae"},
    "pixel_decoder": {"likelihood": "pixel_decoder"},
    "planar_flow": {"posterior": "planar"},
    "poincare": {"posterior": "poincare", "prior": "wrapped_normal"},
    "rae_gp": {"objective": "rae_gp"},
    "rae_l2": {"prior": "full_gaussian_mixture", "objective": "rae_l2"},
    "renyi": {"objective": "renyi"},
    "residual_conv": {"network": "residual_conv"},
    "residual_vq": {
        **{"latent": 128, "posterior": (codes.Codes, {"code_depth": 2}), "prior": "residual_codes"},
        **{"objective": "vq"},
    },
    "reweighted_wake_sleep": {"objective": "reweighted_wake_sleep"},
    "semi_amortised": {"posterior": "semi_amortised"},
    "semi_supervised": {"posterior": "labelled", "prior": "labelled_prior", "objective": "semi_supervised"},
    "sigma_vae": {"likelihood": (likelihoods.Gaussian, {"sigma": "optimal"})},
    "skip": {"network": "skip"},
    "sliced_wasserstein": {"objective": "sliced_wasserstein"},
    "spline_flow": {"posterior": "spline"},
    "sq_vae": {"latent": 128, "posterior": "stochastic_codes", "prior": "codes"},
    "sticking_the_landing": {"objective": "sticking_the_landing"},
    "student_t": {"likelihood": "student_t"},
    "sylvester_flow": {"posterior": "sylvester"},
    "thermodynamic": {"objective": "thermodynamic"},
    "two_stage": {"objective": "staged"},
    "vae_gan": {"likelihood": (likelihoods.Gaussian, {"sigma": "optimal"}), "objective": "vae_gan"},
    "vamp_prior": {"prior": "vamp"},
    "vanilla": {},
    "vq": {"latent": 128, "posterior": "codes", "prior": "codes", "objective": "vq"},
    "vq_ema": {"latent": 128, "posterior": "codes", "prior": "average_codes", "objective": "vq"},
    "vq_spatial": {
        **{"latent": None, "network": (residual_conv.residual_conv, {"spatial": True})},
        **{"posterior": (codes.Codes, {"spatial": True}), "prior": (code_priors.Codes, {"autoregressive": True})},
        **{"objective": "vq"},
    },
    "vr_max": {"objective": "vr_max"},
    "wae_gan": {"objective": "adversarial"},
    "wae_mmd": {"objective": "wae_mmd"},
    "zero_inflated": {"likelihood": "zero_inflated_negative_binomial"},
}


def plain(choice: Any) -> Any:
    """A part whose options a recipe fixes, as the part and the options."""
    return (choice.func, choice.keywords) if isinstance(choice, partial) else choice


def test_a_recipe_chooses_the_parts_that_it_is_named_for() -> None:
    built_in = [name for name in names() if get(name).sources == (BUILT_IN,)]
    found = {name: {role: plain(choice) for role, choice in options_of(get(name).load()).items()} for name in built_in}
    assert found == CHOICES


def test_latents_of_an_image_are_so_many_a_place() -> None:
    """Eight numbers for every 4 x 4 pixels, an odd rest included; four at each place of every layer's map."""
    image = DataSpec((1, 9, 6), "binary", 40)
    assert get("vq_spatial").load()(image).prior.book.sites == 3 * 2
    assert get("vq_spatial").load()(image).prior.book.size == 8
    ladder = get("deep_top_down_conv").load()(image)
    assert sum(ladder.prior.layers) == 4 * (2 * 5 * 3 + 3 * 3 * 2 + 3 * 2 * 1 + 2 * 1 * 1)
