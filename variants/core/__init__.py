"""The common ELBO core: pure mathematics in nats per example, no plumbing."""

from variants.core.bounds import elbo, iwae
from variants.core.chain import Chain
from variants.core.kl import closed_form_kl
from variants.core.mixture import Mixture
from variants.core.terms import Terms
from variants.core.vae import VAE

__all__ = ["VAE", "Chain", "Mixture", "Terms", "closed_form_kl", "elbo", "iwae"]
