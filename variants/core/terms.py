"""Terms: every tensor the ELBO is made of. The only thing that leaves a model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import torch
from torch import Tensor
from torch.distributions import Distribution

from variants.core.kl import closed_form_kl, kl_parts
from variants.core.ways import Ways

T = TypeVar("T")


class cached(Generic[T]):
    """A property that is computed when first asked for, and then kept.

    `functools.cached_property` takes a lock in Python 3.11, at which `torch.compile` breaks the graph.
    """

    def __init__(self, function: Callable[[Any], T]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    def __get__(self, terms: Any, _owner: type) -> T:
        if terms is None:
            return self  # type: ignore[return-value]  # asked of the class, by documentation tools
        value = terms.__dict__[self.function.__name__] = self.function(terms)
        return value


@dataclass(frozen=True, eq=False)
class Terms:
    """What one pass of a batch through a model yields, for K posterior samples of each of B examples.

    Everything is in nats, summed over data and latent dimensions, per example. What is derived is computed when first
    asked for, so that an objective which needs only the closed-form KL does not pay for log-densities.

    Attributes:
        x: the batch, `[B, *shape]`.
        z: samples z_k ~ q(z|x), `[K, B, D]`, reparameterised where q can be.
        q: the approximate posterior q(z|x), batch shape `[B]`, event shape `[D]`.
        p: the prior p(z), batch shape `[]` or `[B]`, event shape `[D]`.
        log_px_z: log p(x|z_k), fully normalised, `[K, B]`.
        y: labels `[B]`, -1 where unknown; None for none. They are for the objective alone.
        ways: through the model that they come from; None where they were put together otherwise.
    """

    x: Tensor
    z: Tensor
    q: Distribution
    p: Distribution
    log_px_z: Tensor
    ways: Ways | None = None
    y: Tensor | None = None

    @cached
    def log_pz(self) -> Tensor:
        """log p(z_k), `[K, B]`."""
        return self.p.log_prob(self.z)

    @cached
    def log_qz_x(self) -> Tensor:
        """log q(z_k|x), `[K, B]`."""
        return self.q.log_prob(self.z)

    @cached
    def log_qz_x_stopped(self) -> Tensor:
        """log q(z_k|x), `[K, B]`, as if the parameters of q were constants: its gradient goes through z_k alone.

        That is the same number, and to first order in z the same function: log q + slope (z - z_k), with the slope
        d log q(z)/dz at z_k. So nothing need be known of how q depends on its parameters, or where they are kept.

        Source: Roeder, Wu and Duvenaud 2017, arXiv:1703.09194 (path derivative).

        Raises:
            NotImplementedError: log q(z|x) has no derivative in z.
        """
        z = self.z.detach().requires_grad_()
        with torch.enable_grad():
            log_q = self.q.log_prob(z)
            if not log_q.requires_grad:
                raise NotImplementedError(f"log q(z|x) of {type(self.q).__name__} has no derivative in z")
            (slope,) = torch.autograd.grad(log_q.sum(), z, allow_unused=True)
        if slope is None:
            raise NotImplementedError(f"log q(z|x) of {type(self.q).__name__} has no derivative in z")
        return log_q.detach() + (slope * (self.z - z.detach())).sum(-1)

    @cached
    def log_qz_x_held(self) -> Tensor:
        """log q(z_k|x), `[K, B]`, as if the z_k were constants: its gradient is the score of q alone."""
        return self.q.log_prob(self.z.detach())

    @cached
    def log_weights(self) -> Tensor:
        """log w_k = log p(x|z_k) + log p(z_k) - log q(z_k|x), `[K, B]`: its mean is the ELBO, its logsumexp IWAE."""
        return self.log_px_z + self.log_pz - self.log_qz_x

    @cached
    def _closed_form_kl(self) -> Tensor | None:
        return closed_form_kl(self.q, self.p)

    @property
    def kl_method(self) -> Literal["closed_form", "monte_carlo"]:
        """How `kl` was obtained."""
        return "monte_carlo" if self._closed_form_kl is None else "closed_form"

    @cached
    def kl(self) -> Tensor:
        """KL(q(z|x) || p(z)), `[B]`: in closed form where one is known, else the mean of log q - log p over samples."""
        if self._closed_form_kl is not None:
            return self._closed_form_kl
        return (self.log_qz_x - self.log_pz).mean(0)

    @cached
    def kl_parts(self) -> Tensor | None:
        """The KL by groups of latents, `[B, G]`, see `core.kl.kl_parts`; None where it has no parts."""
        return kl_parts(self.q, self.p, self.z)
