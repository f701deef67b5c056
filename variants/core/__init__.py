"""The common ELBO core: pure mathematics in nats per example, no plumbing."""

from variants.core.bounds import elbo, iwae
from variants.core.kl import closed_form_kl
from variants.core.terms import Terms
from variants.core.vae import VAE

__all__ = ["VAE", "Terms", "closed_form_kl", "elbo", "iwae"]
