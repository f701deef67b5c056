"""An objective with a critic, as FactorVAE has one, and its stepper: what a second optimiser takes."""

import torch
from torch import Tensor, nn

from bench.train.steps import Stepper
from variants.core.terms import Terms
from variants.parts.objectives import Objective


class Critic(Objective):
    """-ELBO + gamma log D(z) / (1 - D(z)), where D tells draws of q(z) from such with permuted dimensions.

    Source: Kim and Mnih 2018, arXiv:1802.05983, eq. 2 and algorithm 2, with one batch for both.
    """

    stepper = "tests.train.critic:CriticStepper"

    def __init__(self, latent: int = 2, gamma: float = 5.0) -> None:
        super().__init__()
        self.gamma = gamma
        self.critic = nn.Sequential(nn.Linear(latent, 8), nn.ReLU(), nn.Linear(8, 1))

    def forward(self, terms: Terms, epoch: float) -> Tensor:  # noqa: ARG002 - every objective is called alike
        """Loss per example, `[B]`."""
        self.z = terms.z[0].detach()
        return terms.kl - terms.log_px_z.mean(0) + self.gamma * self.critic(terms.z[0]).squeeze(-1)

    def critic_loss(self) -> Tensor:
        """The critic's own loss on the latest batch, `[B]`."""
        permuted = torch.stack([column[torch.randperm(len(column))] for column in self.z.unbind(1)], 1)
        true, false = self.critic(self.z).squeeze(-1), self.critic(permuted).squeeze(-1)
        return nn.functional.softplus(-true) + nn.functional.softplus(false)


class CriticStepper(Stepper):
    """Each step of the model is followed by one of the critic."""

    def make_optimisers(self) -> dict[str, torch.optim.Adam]:
        """The critic has an Adam of its own."""
        critic = list(self.model.objective.critic.parameters())
        others = [p for p in self.model.parameters() if all(p is not own for own in critic)]
        return {"adam": self.adam(others), "critic": self.adam(critic, lr=1e-2, betas=(0.5, 0.9))}

    def __call__(self, x: Tensor, epoch: float) -> Tensor:
        """One step of each."""
        loss = super().__call__(x, epoch)
        self.update("critic", self.model.objective.critic_loss())
        return loss
