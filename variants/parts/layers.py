"""What the posteriors and the priors of two layers of latents, z = (z1, z2), have in common."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.distributions import Independent, Normal

from variants.parts.checks import at_least
from variants.parts.heads import Head
from variants.parts.networks import dense


def split(latent: int, top: int | None) -> tuple[int, int]:
    """(D1, D2): how many of the D latents are z1, and how many are z2, `top` or by default a third. ValueError if D is
    too small for both."""
    if latent < 2:
        raise ValueError(f"two layers need a latent size of at least 2, got {latent}")
    top = max(1, latent // 3) if top is None else at_least("top", top, 1)
    if top >= latent:
        raise ValueError(f"top, the size of the upper layer, must be below the latent size {latent}, got {top}")
    return latent - top, top


class Conditional(nn.Module):
    """p(b | a) = N(mu(a), diag(sigma(a)^2)) by dense layers, or p(b | a, h) with a context h.

    Args:
        inputs: size of a.
        outputs: size of b.
        hidden: widths in between, which `sizes` has checked under the name of its option.
        activation: one of `ACTIVATIONS`.
        context: size of h; 0 for none.
    """

    def __init__(
        self, inputs: int, outputs: int, hidden: tuple[int, ...], activation: str, *, context: int = 0
    ) -> None:
        super().__init__()
        first, *others = dense([inputs, *hidden], activation)
        assert isinstance(first, nn.Linear)
        self.first = first
        # A matrix of its own, so that the context is multiplied once for each example and not for each draw.
        self.context = nn.Linear(context, first.out_features, bias=False) if context else None
        self.body = nn.Sequential(*others)
        self.loc = nn.Linear(hidden[-1], outputs)
        self.log_scale = Head(hidden[-1], outputs)

    def _normal(self, h: Tensor) -> Independent[Normal]:
        h = self.body(h)
        return Independent(Normal(self.loc(h), self.log_scale(h).exp(), validate_args=False), 1, validate_args=False)

    def forward(self, a: Tensor) -> Independent[Normal]:
        """a `[..., D_a]` -> p(b | a), batch shape `[...]`."""
        return self._normal(self.first(a))

    def given(self, h: Tensor) -> Callable[[Tensor], Independent[Normal]]:
        """Context `[B, H]` -> (a `[..., B, D_a]` -> p(b | a, h), batch shape `[..., B]`)."""
        assert self.context is not None
        of_context = self.context(h)
        return lambda a: self._normal(self.first(a) + of_context)
