"""Every registered variant, whoever registered it, keeps the rules: the registry is the list."""

import pytest
import torch

from variants import names
from variants.testing import check_variant

# Where the default size is of no use here: time goes with the square of the one, and with the other.
SMALLER = {
    "inverse_autoregressive_flow": {"flow_width": 32},
    "hamiltonian": {"hidden": (40,)},
    "vamp_prior": {"pseudo_inputs": 20},
    "hierarchical_vamp": {"pseudo_inputs": 20},
    "residual_conv": {"channels": (8, 8), "width": 16},
    "vq_spatial": {"channels": (8, 8), "codes": 8, "order_width": 8},
    "ladder": {"trunk_width": 8, "layers": 3},
    "deep_top_down": {"trunk_width": 8, "layers": 3},
    "deep_top_down_conv": {"trunk_channels": 4, "layers_at": (2, 1)},
    "pixel_decoder": {"pixel_filters": 4, "pixel_layers": 1, "hidden": (20,)},
}


@pytest.mark.parametrize("name", names())
def test_variant(name: str) -> None:
    check_variant(name, **SMALLER.get(name, {}))


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("vanilla", {"likelihood": "gaussian"}),
        ("vanilla", {"likelihood": "gaussian", "sigma": "optimal"}),
        ("vanilla", {"likelihood": "gaussian", "sigma": 0.05, "squash": False}),
        ("vanilla", {"warmup_epochs": 5, "hidden": (32, 16), "activation": "tanh"}),
        ("linear", {"posterior": "full", "shared_covariance": True, "latent": 3}),
        ("full_covariance", {"latent": 1}),
        ("iwae", {"posterior": "full", "network": "conv", "samples": 3}),
        ("beta", {"posterior": "low_rank", "rank": 1, "latent": 1}),
        ("beta_tc", {"posterior": "full", "samples": 2}),
        ("beta_tc", {"posterior": "low_rank", "samples": 2}),
        ("vamp_prior", {"posterior": "full", "pseudo_inputs": 5, "latent": 3}),
        ("vamp_prior", {"posterior": "bottom_up", "pseudo_inputs": 5, "latent": 3}),
        ("hierarchical_vamp", {"objective": "iwae", "activation": "gated", "top": 1, "latent": 4, "hidden": (9,)}),
        ("partial_iwae", {"posterior": "low_rank", "prior": "vamp", "pseudo_inputs": 5, "latent": 3}),
        ("reweighted_wake_sleep", {"posterior": "full", "latent": 3, "samples": 3}),
        ("thermodynamic", {"posterior": "bernoulli", "prior": "bernoulli", "latent": 4, "intervals": 3}),
        ("info_vae", {"posterior": "bottom_up", "prior": "hierarchical", "latent": 4, "samples": 2}),
        ("dip_ii", {"posterior": "householder", "network": "conv", "latent": 1}),
        ("hierarchical", {"network": "conv", "activation": "gated", "latent": 4, "top_hidden": (5, 6)}),
        ("flow_prior", {"network": "conv", "posterior": "full", "objective": "iwae_dreg", "prior_hidden": (8,)}),
        ("flow_prior", {"posterior": "laplace", "latent": 3, "prior_flows": 2, "prior_hidden": (8,)}),
        ("spline_flow", {"prior": "gaussian_mixture", "components": 3, "flows": 1, "spline_bins": 3, "flow_width": 8}),
        ("sylvester_flow", {"latent": 3, "flows": 1, "columns": 1}),
        ("student_t", {"df": 3.0, "sigma": 0.5, "network": "skip", "hidden": (9, 7), "activation": "gated"}),
        ("batch_norm_posterior", {"objective": "iwae", "bn_scale": 1.0, "latent": 1}),
        ("two_stage", {"network": "conv", "samples": 2, "latent": 3}),
        ("conv", {"likelihood": "discretised_logistic", "mixtures": 2}),
        ("hierarchical", {"likelihood": "poisson", "network": "skip", "latent": 4}),
        ("vamp_prior", {"likelihood": "poisson", "pseudo_inputs": 5}),
        ("linear", {"likelihood": "heteroscedastic", "floor": 0.1}),
        ("vq", {"autoregressive": True, "order_width": 8, "codes": 5, "latent": 24, "code_size": 4}),
        ("vq", {"latent": 2, "codes": 7, "code_size": 1}),
        ("fsq", {"latent": 2, "quant_levels": (8, 7)}),
        ("lfq", {"latent": 4, "code_size": 2}),
        ("residual_vq", {"latent": 6, "code_size": 1, "code_depth": 3, "codes": 4}),
        ("ladder", {"latent": 2, "layers": 2, "trunk_width": 8, "objective": "iwae", "samples": 2}),
        ("sq_vae", {"latent": 2, "codes": 6, "code_size": 2}),
    ],
)
def test_combinations(name: str, overrides: dict[str, object]) -> None:
    check_variant(name, **overrides)


def test_the_check_leaves_the_random_state() -> None:
    before = torch.get_rng_state()
    check_variant("vanilla", latent=2, hidden=(8,))
    assert torch.equal(torch.get_rng_state(), before)
