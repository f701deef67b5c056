"""The latent-variable model p(z) p(x|z) with its amortised posterior q(z|x)."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from variants.core.batch import Batch
from variants.core.support import draw
from variants.core.terms import Terms
from variants.core.ways import Ways


def part_name(part: object) -> str:
    """The name under which results list a part: its class in snake case, `LowRank` -> `low_rank`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(part).__name__).lower()


class VAE(nn.Module):
    """A variational autoencoder is a visible choice of six parts. Final: variants choose parts, they do not subclass.

    Args:
        encoder: module, x `[B, *shape]` -> features h `[B, H]`.
        posterior: module, h -> q(z|x), batch shape `[B]`, event shape `[D]`; its `has_density` says whether q has one,
            its `has_path` whether its draws in training carry gradients. One with a method `refine` is given its q(z|x)
            and x, and gives another q(z|x). One that is `conditional` is of p(x|c), and takes the classes c too.
        prior: module, () -> p(z), event shape `[D]`.
        decoder: module, z `[..., D]` -> `[..., *shape]`.
        likelihood: module, decoder output -> p(x|z), event shape `shape`.
        objective: module, (`Terms`, epoch) -> loss `[B]`. It trains the model and is never used to judge it. Its
            `needs_path` says whether it differentiates through z; if not, it is given draws that carry no gradient.

    `options` are the keywords that each role was built with, where `variants.parts.assemble` built the model.

    A part may name in its attribute `stepper`, as `"module:Class"`, who makes the steps of the model's training. One
    with a method `bind` is given the model's `Ways` once; one with a method `anneal` is told the epoch before a loss.

    Raises:
        ValueError: parts that cannot work together, in one line.
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
        self.options: dict[str, dict[str, Any]] = {}
        # Whether the ELBO exists: a deterministic encoder has no density, so its KL is infinite and bounds nothing.
        self.has_bound = bool(posterior.has_density)
        # Whether q(z|x) > 0 wherever p(z|x) is: else importance sampling from it is not of p(x).
        self.covers = bool(getattr(posterior, "covers", True))
        # Whether it is a model of p(x|c), whose nats are not those of p(x).
        self.conditional = bool(getattr(posterior, "conditional", False))
        self.uses_labels = self.conditional or bool(getattr(objective, "uses_labels", False))
        _refuse_misfits(posterior, prior, objective)
        # A part may be made of others, a prior of posteriors say. It is given the ways to them, not the parts on the
        # way, which are registered here and nowhere else.
        self.ways = Ways(self.infer, self.decode, self.log_px, prior)
        parts: tuple[Any, ...] = (encoder, posterior, prior, decoder, likelihood, objective)
        for part in parts:
            if hasattr(part, "bind"):
                part.bind(self.ways)
        self._annealed = tuple(part.anneal for part in parts if hasattr(part, "anneal"))

    def forward(self, x: Tensor | Batch) -> Tensor:
        """`reconstruct`: what a model is to a network of which it is a part."""
        return self.reconstruct(x)

    def infer(self, x: Tensor | Batch) -> Distribution:
        """q(z|x) of a batch `[B, *shape]`: batch shape `[B]`, event shape `[D]`; q(z|x, c) of a model of p(x|c)."""
        batch = Batch.of(x)
        h = self.encoder(batch.x)
        q: Distribution = self.posterior(h, batch.c) if self.conditional else self.posterior(h)
        refine = getattr(self.posterior, "refine", None)
        return q if refine is None else refine(q, batch.x)

    def decode(self, z: Tensor) -> Distribution:
        """p(x|z) of latents `[..., D]`: batch shape `[...]`, event shape `shape`."""
        p: Distribution = self.likelihood(self.decoder(z))
        return p

    def log_px(self, z: Tensor, x: Tensor) -> Tensor:
        """log p(x|z) in nats: z `[K, B, D]`, x `[B, *shape]` -> `[K, B]`."""
        log_px: Tensor = self.likelihood.log_prob(self.decoder(z), x)
        return log_px

    def terms(self, x: Tensor | Batch, samples: int = 1, p: Distribution | None = None, *, path: bool = True) -> Terms:
        """Everything the ELBO of a batch `[B, *shape]` is made of, with `samples` draws of z per example.

        Args:
            x: the batch.
            samples: K.
            p: `self.prior()`, where the caller has it already: with fixed weights it is the same for every batch.
            path: whether z carries gradients to the encoder, where its posterior has such draws.

        Raises:
            NotImplementedError: torch's, if in training a posterior has no such draws and does not say so.
        """
        q = self.infer(x)
        shape = torch.Size([samples])
        # In training a missing path must be loud: an ELBO without it moves the encoder by the KL alone.
        loud = self.training and getattr(self.posterior, "has_path", True)
        z = q.sample(shape) if not path else q.rsample(shape) if loud else draw(q, shape)
        p = self.prior() if p is None else p
        batch = Batch.of(x)
        return Terms(batch.x, z, q, p, self.log_px(z, batch.x), self.ways, batch.y)

    def loss(self, x: Tensor | Batch, epoch: float = 0.0) -> Tensor:
        """What training minimises for a batch `[B, *shape]` after `epoch` passes over the data, `[B]`."""
        for anneal in self._annealed:
            anneal(epoch)
        learns = getattr(self.objective, "learns", None)
        roles = learns(epoch) if learns else None
        if roles is None:
            return self._loss(x, epoch)
        with _constant(part for role, part in self.named_children() if role not in roles):
            return self._loss(x, epoch)

    def _loss(self, x: Tensor | Batch, epoch: float) -> Tensor:
        path = getattr(self.objective, "needs_path", True)
        loss: Tensor = self.objective(self.terms(x, self.objective.samples, path=path), epoch)
        return loss

    def reconstruct(self, x: Tensor | Batch) -> Tensor:
        """Mean of p(x|z) at the posterior mean, `[B, *shape]`."""
        return self.decode(self.infer(x).mean).mean

    def sample(self, n: int) -> Tensor:
        """Means of p(x|z) for `n` draws z ~ p(z), `[n, *shape]`."""
        return self.decode(self.prior().sample(torch.Size([n]))).mean


@contextmanager
def _constant(parts: Iterable[nn.Module]) -> Iterator[None]:
    """The parameters of these parts are given no gradient by what is computed meanwhile."""
    held = [p for part in parts for p in part.parameters() if p.requires_grad]
    for parameter in held:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in held:
            parameter.requires_grad_(True)


def _refuse_misfits(posterior: nn.Module, prior: nn.Module, objective: nn.Module) -> None:
    """ValueError for a pair of parts whose declared facts exclude each other."""
    kind, other = (getattr(part, "latents", "real") for part in (posterior, prior))
    if kind != other:
        raise ValueError(
            f"posterior {part_name(posterior)} has {kind} latents and prior {part_name(prior)} has {other} ones: "
            "choose two of a kind"
        )
    wanted = getattr(objective, "latents", None)
    if wanted is not None and kind != wanted:
        raise ValueError(
            f"objective {part_name(objective)} is for {wanted} latents, and posterior {part_name(posterior)} has "
            f"{kind} ones"
        )
    if getattr(objective, "needs_path", True) and not getattr(posterior, "has_path", True):
        raise ValueError(
            f"objective {part_name(objective)} differentiates through z, and posterior {part_name(posterior)} has no "
            "path: choose an objective without needs_path, such as vimco, or a relaxed posterior"
        )
    if getattr(objective, "needs_marginals", False) and not getattr(posterior, "has_marginals", True):
        raise ValueError(
            f"objective {part_name(objective)} asks for q(z_j|x) of single latents, which posterior "
            f"{part_name(posterior)} does not know: choose posterior=diagonal or posterior=full"
        )
    if getattr(prior, "codes_to_move", False) and not any(
        getattr(part, "moves_codes", False) for part in (posterior, objective)
    ):
        raise ValueError(
            f"objective {part_name(objective)} does not move the codes of prior {part_name(prior)}: choose objective=vq"
        )
    # A posterior that is refined by p(z) cannot make p(z).
    for fact, words in (("batch_statistics", "depend on the batch"), ("refines", "are refined by the prior")):
        if getattr(prior, "of_posteriors", False) and getattr(posterior, fact, False):
            raise ValueError(
                f"prior {part_name(prior)} is made of posteriors, and those of {part_name(posterior)} {words}: choose "
                "posterior=diagonal, or another prior"
            )
    layered = getattr(posterior, "bottom_up", False) and getattr(prior, "seen", None)
    if getattr(objective, "staged", False) and not layered:
        raise ValueError(
            f"objective {part_name(objective)} needs posterior=bottom_up and prior=hierarchical with skip=false"
        )
