"""The latent-variable model p(z) p(x|z) with its amortised posterior q(z|x)."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from variants.core.terms import Terms


class VAE(nn.Module):
    """A variational autoencoder is a visible choice of six parts. Final: variants choose parts, they do not subclass.

    Args:
        encoder: module, x `[B, *shape]` -> features h `[B, H]`.
        posterior: module, h -> q(z|x), batch shape `[B]`, event shape `[D]`; its `has_density` says whether q has one.
        prior: module, () -> p(z), event shape `[D]`. If it has a method `bind`, that is given `infer` once.
        decoder: module, z `[..., D]` -> `[..., *shape]`.
        likelihood: module, decoder output -> p(x|z), event shape `shape`.
        objective: module, (`Terms`, epoch) -> loss `[B]`. It trains the model and is never used to judge it.

    A part may name in its attribute `stepper`, as `"module:Class"`, who makes the steps of the model's training.
    """

    # The core knows parts by what they offer, not by their classes, for it imports none of them.
    posterior: Any
    likelihood: Any
    objective: Any

    def __init__(
        self,
        encoder: nn.Module,
        posterior: nn.Module,
        prior: nn.Module,
        decoder: nn.Module,
        likelihood: nn.Module,
        objective: nn.Module,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.posterior = posterior
        self.prior = prior
        self.decoder = decoder
        self.likelihood = likelihood
        self.objective = objective
        # Whether the ELBO exists: a deterministic encoder has no density, so its KL is infinite and bounds nothing.
        self.has_bound = bool(posterior.has_density)
        # A prior may be made of posteriors at inputs of its own. It is given the way to them, not the parts on the way,
        # which are registered here and nowhere else.
        bind = getattr(prior, "bind", None)
        if bind is not None:
            bind(self.infer)

    def infer(self, x: Tensor) -> Distribution:
        """q(z|x) of a batch `[B, *shape]`: batch shape `[B]`, event shape `[D]`."""
        q: Distribution = self.posterior(self.encoder(x))
        return q

    def decode(self, z: Tensor) -> Distribution:
        """p(x|z) of latents `[..., D]`: batch shape `[...]`, event shape `shape`."""
        p: Distribution = self.likelihood(self.decoder(z))
        return p

    def terms(self, x: Tensor, samples: int = 1, p: Distribution | None = None) -> Terms:
        """Everything the ELBO of a batch `[B, *shape]` is made of, with `samples` draws of z per example.

        Args:
            x: the batch.
            samples: K.
            p: `self.prior()`, where the caller has it already: with fixed weights it is the same for every batch.
        """
        q = self.infer(x)
        z = q.rsample(torch.Size([samples]))
        p = self.prior() if p is None else p
        return Terms(x=x, z=z, q=q, p=p, log_px_z=self.likelihood.log_prob(self.decoder(z), x))

    def loss(self, x: Tensor, epoch: float = 0.0) -> Tensor:
        """What training minimises for a batch `[B, *shape]` after `epoch` passes over the data, `[B]`."""
        loss: Tensor = self.objective(self.terms(x, self.objective.samples), epoch)
        return loss

    def reconstruct(self, x: Tensor) -> Tensor:
        """Mean of p(x|z) at the posterior mean, `[B, *shape]`."""
        return self.decode(self.infer(x).mean).mean

    def sample(self, n: int) -> Tensor:
        """Means of p(x|z) for `n` draws z ~ p(z), `[n, *shape]`."""
        return self.decode(self.prior().sample(torch.Size([n]))).mean
