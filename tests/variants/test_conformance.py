"""Every registered variant, whoever registered it, keeps the rules: the registry is the list."""

import pytest
import torch

from variants import names
from variants.testing import check_variant

# Where the default size is of no use here: time goes with the square of the one, and with the other.
SMALLER = {
    "inverse_autoregressive_flow": {"flow_width": 32},
    "vamp_prior": {"pseudo_inputs": 20},
    "hierarchical_vamp": {"pseudo_inputs": 20},
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
        (
            "hierarchical_vamp",
            {"objective": "iwae", "activation": "gated", "top": 1, "latent": 4, "hidden": (9,), "pseudo_inputs": 5},
        ),
        ("hierarchical", {"network": "conv", "activation": "gated", "latent": 4, "top_hidden": (5, 6)}),
    ],
)
def test_combinations(name: str, overrides: dict[str, object]) -> None:
    check_variant(name, **overrides)


def test_the_check_leaves_the_random_state() -> None:
    before = torch.get_rng_state()
    check_variant("vanilla", latent=2, hidden=(8,))
    assert torch.equal(torch.get_rng_state(), before)
