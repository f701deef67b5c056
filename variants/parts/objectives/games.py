"""Games: objectives with a critic, which learns to tell draws apart while the model learns that it cannot.

Both move at once, from one backward pass: what the model is to lower goes through a copy of the critic whose
parameters are constants, and what the critic is to lower sees draws without a gradient. As no parameter is given both
gradients, one optimiser serves both. Papers mostly let the two move in turns.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from variants.core.terms import Terms
from variants.data_spec import DataSpec
from variants.parts.checks import not_negative, positive, sizes
from variants.parts.networks import dense
from variants.parts.objectives.base import Sampled, draws_of_prior, linear_warmup, with_gradient_of


def frozen(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """The function that a module is now: gradients pass through it to its input, and none reaches its parameters."""
    constants = {name: parameter.detach() for name, parameter in module.named_parameters()}
    return lambda x: functional_call(module, constants, (x,))  # type: ignore[no-any-return]


class Critic(nn.Module):
    """Dense layers with leaky ReLUs, and one logit: `[..., D]` -> `[...]`. `features` are what the last layer sees.

    Args:
        size: D.
        hidden: widths.
    """

    def __init__(self, size: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        widths = list(sizes("critic_hidden", hidden))
        layers = dense([size, *widths], "leaky_relu")
        for layer in layers:
            if isinstance(layer, nn.LeakyReLU):
                layer.negative_slope = 0.2
        self.features = nn.Sequential(*layers)
        self.logit = nn.Linear(widths[-1], 1)

    def forward(self, x: Tensor) -> Tensor:
        """`[..., D]` -> `[...]`."""
        logit: Tensor = self.logit(self.features(x))
        return logit.squeeze(-1)


def telling_apart(true: Tensor, false: Tensor) -> Tensor:
    """The critic's cross-entropy -1/2 [log D(true) + log(1 - D(false))] from logits, in nats.

    The best critic's mean is log 2 less the Jensen-Shannon divergence of the two distributions.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, section 4.
    """
    return 0.5 * (functional.softplus(-true) + functional.softplus(false))


class Game(Sampled):
    """Abstract: a loss without a critic, and a weight times what a critic adds to it.

    A subclass implements `alone` and `players`. Adam's betas are those with which critics are mostly trained.

    Attributes:
        weight: of the game.
    """

    weight: float
    adam: Mapping[str, Mapping[str, Any]] = {"objective": {"betas": (0.5, 0.9)}}

    @abstractmethod
    def alone(self, terms: Terms, epoch: float) -> Tensor:
        """The loss without the game, `[B]`."""

    @abstractmethod
    def players(self, terms: Terms) -> tuple[Tensor, Tensor]:
        """What the model is to lower, and what the critic is to lower, each `[B]`. Neither reaches the other's."""

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """Loss per example, `[B]`. Its value holds the model's side alone."""
        loss = self.alone(terms, epoch)
        model, critic = self.players(terms)
        return with_gradient_of(loss + self.weight * linear_warmup(epoch, self.warmup_epochs) * model, critic)


def _latents(name: str, size: int | None) -> int:
    if size is None:
        raise ValueError(f"the objective {name} needs the option latent_size, the number of latents its critic sees")
    return size


def permuted(z: Tensor) -> Tensor:
    """Each latent by itself in an order of its own over the batch, which makes draws of prod_j q(z_j) of those of q(z).

    `[..., B, D]` -> the same shape. Source: Kim and Mnih 2018, arXiv:1802.05983, algorithm 1.
    """
    return z.gather(-2, torch.rand_like(z).argsort(-2))


class Factor(Game):
    """-ELBO + gamma TC, the total correlation E log q(z) - log prod_j q(z_j) by a critic that tells the two apart.

    The critic's logit is an estimate of log q(z) - sum_j log q(z_j): exact for the best one, and no bound for others.
    One batch gives the draws of both; the paper takes a second batch for those that are permuted.

    Source: Kim and Mnih 2018, arXiv:1802.05983, eq. 2 and algorithm 2 (there gamma from 10 to 100, and a critic of six
    layers of 1000).

    Args:
        latent_size: D; `assemble` gives it.
        gamma: weight of TC, at least 0.
        critic_hidden: widths of the critic.
        samples: K draws over which the expectations are averaged.
        warmup_epochs: passes over which the KL and TC are phased in linearly; 0 for none.

    Raises:
        ValueError: the number of latents is not known, or a value is out of range.
    """

    def __init__(
        self,
        *,
        latent_size: int | None = None,
        gamma: float = 10.0,
        critic_hidden: tuple[int, ...] = (256, 256, 256),
        samples: int = 1,
        warmup_epochs: float = 0,
    ) -> None:
        super().__init__(samples=samples, warmup_epochs=warmup_epochs)
        self.weight = not_negative("gamma", gamma)
        self.critic = Critic(_latents("factor", latent_size), critic_hidden)

    def alone(self, terms: Terms, epoch: float) -> Tensor:
        """-ELBO, `[B]`."""
        return linear_warmup(epoch, self.warmup_epochs) * terms.kl - terms.log_px_z.mean(0)

    def players(self, terms: Terms) -> tuple[Tensor, Tensor]:
        """TC by the critic, and the critic's loss, each `[B]`."""
        z = terms.z.detach()
        telling = telling_apart(self.critic(z), self.critic(permuted(z)))
        return frozen(self.critic)(terms.z).mean(0), telling.mean(0)


class Adversarial(Game):
    """-log p(x|z) - a log D(z), with a critic D that tells draws of the prior from codes: no KL.

    The model's side does not saturate: it ascends log D(z), and does not descend log(1 - D(z)).

    Source: Makhzani et al. 2015, arXiv:1511.05644; with a deterministic encoder Tolstikhin et al. 2018,
    arXiv:1711.01558, algorithm 1 (WAE-GAN).

    Args:
        latent_size: D; `assemble` gives it.
        adversary: a, the weight of the game, at least 0.
        critic_hidden: widths of the critic.
        samples: K draws over which the expectations are averaged.
        warmup_epochs: passes over which the game is phased in linearly; 0 for none.

    Raises:
        ValueError: the number of latents is not known, or a value is out of range.
    """

    def __init__(
        self,
        *,
        latent_size: int | None = None,
        adversary: float = 10.0,
        critic_hidden: tuple[int, ...] = (256, 256),
        samples: int = 1,
        warmup_epochs: float = 0,
    ) -> None:
        super().__init__(samples=samples, warmup_epochs=warmup_epochs)
        self.weight = not_negative("adversary", adversary)
        self.critic = Critic(_latents("adversarial", latent_size), critic_hidden)

    def alone(self, terms: Terms, epoch: float) -> Tensor:  # noqa: ARG002 - every objective is called alike
        """-log p(x|z), `[B]`."""
        return -terms.log_px_z.mean(0)

    def players(self, terms: Terms) -> tuple[Tensor, Tensor]:
        """-log D(z), and the critic's loss, each `[B]`."""
        telling = telling_apart(self.critic(draws_of_prior(terms).detach()), self.critic(terms.z.detach()))
        return functional.softplus(-frozen(self.critic)(terms.z)).mean(0), telling.mean(0)


class VaeGan(Game):
    """KL + 1/2 |f(x) - f(x~)|^2 with features f of a critic D that tells x from x~ = E[x|z], z ~ q(z|x) or z ~ p(z).

    Three players: the encoder lowers the KL and the distance of features, the decoder gamma times that distance less
    a times the critic's loss, the critic its own. The ELBO is judged by p(x|z), which only its variance is fitted to.

    Source: Larsen, Sonderby, Larochelle and Winther 2016, arXiv:1512.09300, algorithm 1.

    Args:
        data_spec: of the data; `assemble` gives it.
        gamma: weight of the distance of features in the decoder's loss, above 0.
        adversary: a, at least 0.
        critic_hidden: widths of the critic; the last are the features.
        samples: K draws over which the expectations are averaged.
        warmup_epochs: passes over which the KL and the game are phased in linearly; 0 for none.

    Raises:
        ValueError: the shape of the data is not known, or a value is out of range.
    """

    def __init__(
        self,
        *,
        data_spec: DataSpec | None = None,
        gamma: float = 1.0,
        adversary: float = 1.0,
        critic_hidden: tuple[int, ...] = (256, 128),
        samples: int = 1,
        warmup_epochs: float = 0,
    ) -> None:
        super().__init__(samples=samples, warmup_epochs=warmup_epochs)
        if data_spec is None:
            raise ValueError("the objective vae_gan needs the option data_spec, the shape of what its critic sees")
        self.gamma = positive("gamma", gamma)
        self.weight = not_negative("adversary", adversary)
        self.dims = len(data_spec.shape)
        self.critic = Critic(data_spec.dims, critic_hidden)

    def _drawn(self, terms: Terms, z: Tensor) -> Tensor:
        assert terms.ways is not None
        return terms.ways.decode(z).mean.flatten(-self.dims)

    def alone(self, terms: Terms, epoch: float) -> Tensor:
        """The KL and gamma times the distance of features, of whose gradient the encoder is given 1 / gamma, `[B]`."""
        z = terms.z.detach() + (terms.z - terms.z.detach()) / self.gamma
        features = frozen(self.critic.features)
        off = features(self._drawn(terms, z)) - features(terms.x.flatten(1))
        distance = 0.5 * off.square().sum(-1).mean(0)
        return linear_warmup(epoch, self.warmup_epochs) * terms.kl + self.gamma * distance

    def players(self, terms: Terms) -> tuple[Tensor, Tensor]:
        """Minus the critic's loss as far as the decoder moves it, and the critic's loss, each `[B]`."""
        z = torch.cat([terms.z.detach(), draws_of_prior(terms).detach()])
        false = self._drawn(terms, z)
        fooled = functional.softplus(frozen(self.critic)(false)).mean(0)
        true = self.critic(terms.x.flatten(1))
        return -0.5 * fooled, telling_apart(true, self.critic(false.detach())).mean(0)
