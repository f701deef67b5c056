"""The common ELBO core: pure mathematics in nats per example, no plumbing."""

from variants.core.batch import Batch
from variants.core.blocks import Blocks
from variants.core.bounds import elbo, iwae
from variants.core.chain import Chain
from variants.core.kl import closed_form_kl, kl_parts
from variants.core.mixture import Mixture
from variants.core.one_hots import OneHots, RelaxedOneHots
from variants.core.support import draw, is_discrete, is_real
from variants.core.terms import Terms
from variants.core.vae import VAE
from variants.core.ways import Ways

__all__ = [
    "VAE",
    "Batch",
    "Blocks",
    "Chain",
    "Mixture",
    "OneHots",
    "RelaxedOneHots",
    "Terms",
    "Ways",
    "closed_form_kl",
    "draw",
    "elbo",
    "is_discrete",
    "is_real",
    "iwae",
    "kl_parts",
]
