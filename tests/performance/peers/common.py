"""What the contestants share: the pixels, our judge, and the clock that stops while it looks."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bench import data, seeds
from bench.data.batches import Data
from bench.judge import bounds
from tests.performance.peers.plan import SETTINGS, Block
from variants import build
from variants.core import VAE
from variants.parts.posteriors import Diagonal


def images(train_size: int | None = None) -> Data:
    """MNIST cut at one half: every contestant gets exactly these zeros and ones."""
    return data.load("mnist", binarise="threshold", train_size=train_size)


def pixels(source: Data, split: str) -> Tensor:
    """A split in its own order, `[N, 1, 28, 28]` float32 zeros and ones."""
    return torch.cat([x for x, _ in source.eval_batches(split, 1000)])


class PlainHeads(Diagonal):
    """As the contestants have it: log sigma from a plain linear layer."""

    def __init__(self, features: int, latent: int) -> None:
        super().__init__(features, latent)
        self.log_scale = nn.Linear(features, latent)


def mlp(source: Data) -> VAE:
    """Our model of the MLP tasks."""
    return build(
        "vanilla", source.spec, hidden=[SETTINGS.hidden], latent=SETTINGS.latent, posterior=PlainHeads, centre=False
    )


# The layers of the MLP by the names that every contestant translates its own to. `log_scale` gives log sigma.
LAYERS = ("hidden", "loc", "log_scale", "decoder_hidden", "logits")
Layers = Mapping[str, nn.Linear]


def layers(model: VAE) -> dict[str, nn.Linear]:
    """The layers of our MLP by the names of `LAYERS`."""
    encoder: Any = model.encoder
    decoder: Any = model.decoder
    found = (encoder.body[2], model.posterior.loc, model.posterior.log_scale, decoder.body[0], decoder.body[2])
    return dict(zip(LAYERS, found, strict=True))


@torch.no_grad()
def take_over(model: VAE, theirs: Layers) -> None:
    """Copy a contestant's weights into our model, where `theirs["log_variance"]` gives log sigma^2 = 2 log sigma."""
    for name, ours in layers(model).items():
        halve = name == "log_scale"
        other = theirs["log_variance" if halve else name]
        ours.weight.copy_(other.weight / 2 if halve else other.weight)
        ours.bias.copy_(other.bias / 2 if halve else other.bias)


class Judge:
    """Our judge of the validation ELBO: the same images, random numbers and code for every contestant."""

    def __init__(self, source: Data) -> None:
        self.batches = list(source.eval_batches("valid", SETTINGS.eval_batch, SETTINGS.elbo_images))
        self.model = mlp(source)

    def elbo(self, model: VAE) -> float:
        """Validation ELBO in nats of our model, which is left in training mode."""
        found = bounds.scores(model, self.batches, samples=1, seed=seeds.JUDGE).means()["elbo_nats"]
        model.train()
        assert found is not None
        return found

    def elbo_of(self, theirs: Layers) -> float:
        """Validation ELBO in nats of another contestant's model."""
        take_over(self.model, theirs)
        return self.elbo(self.model)


class Reached(Exception):
    """Training has come as far as it was to."""


class Watched:
    """A loader that stops the clock every so many batches and has the model judged.

    It stands in the place of a contestant's own loader, whose loop thus runs as it is; `Reached` ends it.

    Args:
        loader: batches, for one pass each time it is iterated over.
        judge: the validation ELBO at this moment, in nats.
        most: leave after so many batches, unjudged; for warming up.
    """

    def __init__(self, loader: Iterable[Any], judge: Callable[[], float], most: int | None = None) -> None:
        self.loader, self.judge, self.most = loader, judge, most
        self.steps, self.seconds, self.elbo = 0, 0.0, -math.inf
        self.started = time.perf_counter()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def __len__(self) -> int:
        return len(self.loader)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        for batch in self.loader:
            # The loop asks for a batch when it is done with the one before, so so many steps have been made.
            if self.steps == self.most:
                raise Reached
            if self.steps and self.steps % SETTINGS.elbo_every == 0:
                self._look()
            self.steps += 1
            yield batch

    def _look(self) -> None:
        self.seconds += time.perf_counter() - self.started
        self.elbo = self.judge()
        if self.elbo >= SETTINGS.elbo:
            raise Reached
        self.started = time.perf_counter()

    def run(self, one_pass: Callable[[int], object]) -> Block:
        """Train by `one_pass(epoch)` until the ELBO is reached.

        Raises:
            RuntimeError: it was not, in `elbo_passes` passes.
        """
        self.started = time.perf_counter()
        try:
            for epoch in range(SETTINGS.elbo_passes):
                one_pass(epoch)
        except Reached:
            return {"units": 1, "seconds": self.seconds, "steps": self.steps, "elbo": self.elbo}
        raise RuntimeError(f"{self.elbo:.2f} nats after {self.steps} steps, {SETTINGS.elbo:g} not reached")
