"""Who learns when: an encoder that lags behind the decoder is given steps of its own."""

import torch
from torch import Tensor

from variants.core.terms import Terms
from variants.parts.checks import at_least, not_negative
from variants.parts.objectives.elbo import Elbo

INFERENCE = frozenset({"encoder", "posterior"})
MODEL = frozenset({"prior", "decoder", "likelihood", "objective"})


class Lagging(Elbo):
    """-ELBO; in the first passes the encoder moves alone until that helps no more, then the decoder moves for one step.

    It helps as long as the mean loss of `window` steps is below that of the `window` before. The paper goes on like
    this until the mutual information of x and z falls on validation data, here it is for a stated number of passes.

    Source: He, Spokoyny, Neubig and Berg-Kirkpatrick 2019, arXiv:1901.05534, algorithm 1 (there windows of 10 steps, at
    most 100 in a row).

    Args:
        lagging_epochs: passes in which the two take turns; both move together in all others.
        inner: most steps of the encoder in a row; 0 for none, which is `Elbo`.
        window: steps over which a loss is averaged.
        samples: K draws over which E_q log p(x|z) is averaged.
        warmup_epochs: passes over which the KL is phased in linearly; 0 for none.
    """

    # Parameters are held constant in turns.
    eager = True
    run: Tensor
    total: Tensor
    before: Tensor
    turn: Tensor

    def __init__(
        self,
        *,
        lagging_epochs: float = 3,
        inner: int = 100,
        window: int = 10,
        samples: int = 1,
        warmup_epochs: float = 0,
    ) -> None:
        super().__init__(samples=samples, warmup_epochs=warmup_epochs)
        self.lagging_epochs = not_negative("lagging_epochs", lagging_epochs)
        self.inner = at_least("inner", inner, 0)
        self.window = at_least("window", window, 1)
        # Of the encoder: steps in a row, the sum of losses in this window, the mean of the last; whether it is done.
        self.register_buffer("run", torch.tensor(0))
        self.register_buffer("total", torch.tensor(0.0))
        self.register_buffer("before", torch.tensor(float("inf")))
        self.register_buffer("turn", torch.tensor(False))

    def learns(self, epoch: float) -> frozenset[str] | None:
        """The roles that move in the next step; None for all."""
        if not self.inner or epoch >= self.lagging_epochs:
            return None
        return MODEL if self.turn else INFERENCE

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`."""
        loss = super().forward(terms, epoch)
        if self.training and self.learns(epoch) is not None:
            self._count(loss.detach().mean())
        return loss

    @torch.no_grad()
    def _count(self, loss: Tensor) -> None:
        if self.turn:
            self.run.zero_()
            self.total.zero_()
            self.before.fill_(float("inf"))
            self.turn.fill_(False)
            return
        self.run += 1
        self.total += loss
        if self.run % self.window == 0:
            mean = self.total / self.window
            self.turn.copy_(mean >= self.before)
            self.before.copy_(mean)
            self.total.zero_()
        if self.run >= self.inner:
            self.turn.fill_(True)
