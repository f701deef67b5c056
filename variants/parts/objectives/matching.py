"""Wasserstein autoencoders: codes of a deterministic encoder, drawn from q(z) as a whole, are to be draws of p(z)."""

import torch
from torch import Tensor
from torch.nn import functional

from variants.core.terms import Terms
from variants.parts.checks import at_least, not_negative
from variants.parts.objectives.aggregate import Kernel, squared_mmd
from variants.parts.objectives.base import Sampled, draws_of_prior, linear_warmup


def inverse_multiquadratics(latent: int, scale: float = 1.0) -> Kernel:
    """k(a, b) = sum_s C_s / (C_s + |a - b|^2) with C_s = 2 D scale^2 s, the squared distance of two draws of the prior
    times s = 0.1, 0.2, 0.5, 1, 2, 5, 10, as a function of squared distances.

    Source: Tolstikhin et al. 2018, arXiv:1711.01558, section 4, and the authors' code.
    """
    sizes = [2 * latent * scale**2 * s for s in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)]
    return lambda squares: torch.stack([c / (c + squares) for c in sizes]).sum(0)


def sliced_wasserstein(a: Tensor, b: Tensor, directions: Tensor) -> Tensor:
    """The mean over directions of W_2^2 between two samples seen along it: sorted points of a line, paired in order.

    Source: Kolouri, Pope, Martin and Rohde 2018, arXiv:1804.01947, eq. 11.

    Args:
        a: n draws of the one, `[..., n, D]`.
        b: n draws of the other, `[..., n, D]`.
        directions: unit vectors, `[D, L]`.

    Returns:
        `[...]`.
    """
    off = (a @ directions).sort(-2).values - (b @ directions).sort(-2).values
    return off.square().mean((-1, -2))


class WaeMmd(Sampled):
    """-log p(x|z) + mmd MMD^2(q(z), p(z)) by the kernel `inverse_multiquadratics`, from a batch of codes and as many
    draws of p(z). A batch of one has no MMD.

    Source: Tolstikhin, Bousquet, Gelly and Schoelkopf 2018, arXiv:1711.01558, algorithm 2 (WAE-MMD).

    Args:
        mmd: weight, at least 0.
        samples: K draws of a posterior that is not deterministic.
        warmup_epochs: passes over which the MMD is phased in linearly; 0 for none.
    """

    def __init__(self, *, mmd: float = 10.0, samples: int = 1, warmup_epochs: float = 0) -> None:
        super().__init__(samples=samples, warmup_epochs=warmup_epochs)
        self.mmd = not_negative("mmd", mmd)

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`, each with an equal share of the batch's MMD."""
        kernel = inverse_multiquadratics(terms.z.shape[-1])
        distance = squared_mmd(terms.z, draws_of_prior(terms), kernel).mean()
        return linear_warmup(epoch, self.warmup_epochs) * self.mmd * distance - terms.log_px_z.mean(0)


class SlicedWasserstein(Sampled):
    """-log p(x|z) + sliced W_2^2(q(z), p(z)), the mean of `sliced_wasserstein` over random directions, of a batch of
    codes and as many draws of p(z). With few of them it is above 0 for equal distributions too.

    Source: Kolouri, Pope, Martin and Rohde 2018, arXiv:1804.01947 (sliced Wasserstein autoencoder).

    Args:
        sliced: weight, at least 0.
        directions: their number, drawn anew for each batch.
        samples: K draws of a posterior that is not deterministic.
        warmup_epochs: passes over which the distance is phased in linearly; 0 for none.
    """

    def __init__(
        self, *, sliced: float = 10.0, directions: int = 50, samples: int = 1, warmup_epochs: float = 0
    ) -> None:
        super().__init__(samples=samples, warmup_epochs=warmup_epochs)
        self.sliced = not_negative("sliced", sliced)
        self.directions = at_least("directions", directions, 1)

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`, each with an equal share of the batch's distance."""
        directions = torch.randn_like(terms.z[0, 0].unsqueeze(-1).expand(-1, self.directions))
        directions = functional.normalize(directions, dim=0)
        distance = sliced_wasserstein(terms.z, draws_of_prior(terms), directions).mean()
        return linear_warmup(epoch, self.warmup_epochs) * self.sliced * distance - terms.log_px_z.mean(0)
