"""Two stages at once: the layers of a hierarchy are trained one upon the other, and nothing flows back."""

from typing import cast

from torch import Tensor
from torch.distributions import Independent, Normal

from variants.core.chain import Chain
from variants.core.kl import closed_form_kl
from variants.core.terms import Terms
from variants.parts.checks import at_least, not_negative
from variants.parts.objectives import Objective, linear_warmup


class Staged(Objective):
    """-log p(x|z1) + KL(q(z1|x) || N(0, I)), and on a copy of z1 that carries no gradient a second VAE's
    KL(q(z2|z1) || p(z2)) - log p(z1|z2).

    The first stage is trained as if there were no second, which learns the distribution of its codes; the paper trains
    one after the other, here both learn at once. The model, p(z2) p(z1|z2) p(x|z1), is judged as a whole.

    Source: Dai and Wipf 2019, arXiv:1903.05789, section 4 (two-stage VAE).

    Args:
        samples: K draws over which the expectations are averaged.
        warmup_epochs: passes over which the first stage's KL is phased in linearly; 0 for none.
    """

    # For a posterior q(z1|x) q(z2|z1), and a prior p(z2) p(z1|z2) of whose layers the decoder sees z1 alone.
    staged = True

    def __init__(self, *, samples: int = 1, warmup_epochs: float = 0) -> None:
        super().__init__()
        self.samples = at_least("samples", samples, 1)
        self.warmup_epochs = not_negative("warmup_epochs", warmup_epochs)

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`."""
        q, p = cast(Chain, terms.q), cast(Chain, terms.p)
        z1 = terms.z[..., : q.layers[0]]
        standard = Normal(z1.new_zeros(q.layers[0]), z1.new_ones(q.layers[0]), validate_args=False)
        first = closed_form_kl(q.root, Independent(standard, 1, validate_args=False))
        z1 = z1.detach()
        given = q.conditional(z1)
        second = closed_form_kl(given, p.root)
        assert first is not None
        assert second is not None
        second = second - p.conditional(given.rsample()).log_prob(z1)
        return linear_warmup(epoch, self.warmup_epochs) * first + second.mean(0) - terms.log_px_z.mean(0)
