"""Priors p(z): modules that return a distribution with event `[D]`."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal


class Prior(nn.Module, ABC):
    """Abstract. A subclass takes `(latent)` and its own keyword options, and implements `forward`."""

    @abstractmethod
    def forward(self) -> Distribution:
        """p(z), event shape `[D]`."""


class StandardNormal(Prior):
    """p(z) = N(0, I). Source: Kingma and Welling 2014, arXiv:1312.6114.

    Args:
        latent: D.
    """

    loc: Tensor
    scale: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.register_buffer("loc", torch.zeros(latent), persistent=False)
        self.register_buffer("scale", torch.ones(latent), persistent=False)

    def forward(self) -> Independent[Normal]:
        """p(z), batch shape `[]`, event shape `[D]`."""
        return Independent(Normal(self.loc, self.scale, validate_args=False), 1, validate_args=False)
