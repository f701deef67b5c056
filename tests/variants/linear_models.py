"""Linear Gaussian models whose encoder is off the truth, and gradients as vectors."""

import torch
from torch import Tensor, nn

from bench.data.gaussian import LinearGaussian
from bench.oracle.truth import set_decoder
from variants import DataSpec, build
from variants.core import VAE
from variants.parts.posteriors import Posterior

D, K = 4, 2
POSTERIORS = ["diagonal", "full", "low_rank", "householder", "planar", "inverse_autoregressive"]


def true_model(noise: float = 0.5) -> LinearGaussian:
    """x = W z + m + noise, `K` latents and `D` data dimensions."""
    generator = torch.Generator().manual_seed(1)
    w = torch.randn(D, K, generator=generator, dtype=torch.float64)
    return LinearGaussian(w, torch.randn(D, generator=generator, dtype=torch.float64), noise)


def points() -> Tensor:
    """Three examples, `[3, D]`."""
    return torch.randn(3, D, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def untrained(truth: LinearGaussian, posterior: str | type[Posterior], **options: object) -> VAE:
    """The true decoder with an encoder that knows nothing yet."""
    torch.manual_seed(3)
    options = {
        "latent": K,
        "network": "linear",
        "likelihood": "gaussian",
        "squash": False,
        "sigma": "learned",
    } | options
    model = build("vanilla", DataSpec((D,), "real"), posterior=posterior, **options).double()
    set_decoder(model, truth)
    return model


def gradient(loss: Tensor, module: nn.Module) -> Tensor:
    """Of the mean loss with respect to all parameters of a module, as one vector."""
    parts = torch.autograd.grad(loss.mean(), list(module.parameters()), retain_graph=True)
    return torch.cat([part.flatten() for part in parts])
