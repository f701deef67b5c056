"""This suite's own side."""

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn

from bench import seeds
from bench.data.batches import Data
from bench.judge import bounds
from bench.judge.evidence import importance_weights
from bench.settings import Budget
from bench.train.steps import stepper_for
from tests.performance.peers import common
from tests.performance.peers.plan import SETTINGS, Block, Job
from tests.performance.peers.profiles import profiled
from variants.core import VAE
from variants.data_spec import DataSpec
from variants.parts import assemble
from variants.parts.networks import ChannelsLast, Decoder, Encoder


def convnet(data: DataSpec, latent: int) -> tuple[Encoder, Decoder]:
    """The layers of pythae's convolutional network for MNIST: 17 million weights; the last sigmoid is the likelihood's.

    Source: Chadebec, Vincent and Allassonniere 2022, arXiv:2206.08309 (pythae's benchmark).
    """
    depths = (1, 128, 256, 512, 1024)
    down: list[nn.Module] = []
    for a, b in pairwise(depths):
        down += [nn.Conv2d(a, b, 4, 2, padding=1), nn.BatchNorm2d(b), nn.ReLU()]
    up = [
        *(nn.ConvTranspose2d(1024, 512, 3, 2, padding=1), nn.BatchNorm2d(512), nn.ReLU()),
        *(nn.ConvTranspose2d(512, 256, 3, 2, padding=1, output_padding=1), nn.BatchNorm2d(256), nn.ReLU()),
        nn.ConvTranspose2d(256, 1, 3, 2, padding=1, output_padding=1),
    ]
    encoder = nn.Sequential(ChannelsLast(), *down, nn.Flatten())
    decoder = nn.Sequential(nn.Linear(latent, 1024 * 4 * 4), nn.Unflatten(-1, (1024, 4, 4)), ChannelsLast(), *up)
    for body in (encoder, decoder):
        body.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Encoder("pythae_conv", encoder, 1024), Decoder(decoder, data.shape)


def conv(source: Data) -> VAE:
    """Our model of the convolutional task."""
    return assemble(source.spec, network=convnet, latent=SETTINGS.conv_latent, posterior=common.PlainHeads)


def one_pass(model: VAE, batches: Iterable[Tensor], *, precision: str = "fp32") -> Callable[[int], float]:
    """A function that trains `model` for one pass with the steps of `bench.train`, and returns the summed loss."""
    step = stepper_for(model, Budget(lr=SETTINGS.lr, schedule="constant"), precision=precision)
    model.train()

    def run(epoch: int) -> float:
        losses: list[Tensor] = []
        for x in batches:
            losses.append(step(x, epoch))
        # One look per pass, as in training: no step waits for it.
        return float(torch.stack(losses).sum())

    return run


class Shuffled:
    """Our training batches `[B, 1, 28, 28]`; each iteration is one pass in a fresh order."""

    def __init__(self, source: Data, batch: int, seed: int = 0) -> None:
        self.source, self.batch, self.order = source, batch, seeds.generator(seed, "order")

    def __iter__(self) -> Iterator[Tensor]:
        return self.source.train_batches(self.batch, order=self.order, noise=self.order)


def _training(source: Data, model: VAE, batch: int, precision: str) -> Job:
    run = one_pass(model, Shuffled(source, batch), precision=precision)
    size = source.splits["train"]

    def block(_: int) -> Block:
        run(0)
        return {"units": size}

    # Of a compiled step a profile would show made-up names.
    return Job(block) if "compile" in precision else profiled(block)


def training(batch: int, *, precision: str = "fp32") -> Job:
    """Train the MLP; a block is one pass over the block's images."""
    source = common.images(SETTINGS.block)
    return _training(source, common.mlp(source), batch, precision)


def training_conv(*, precision: str = "fp32") -> Job:
    """Train the convolutional network."""
    source = common.images(SETTINGS.conv_block)
    return _training(source, conv(source), SETTINGS.conv_batch, precision)


def evaluation() -> Job:
    """The ELBO of the test split, one draw an image, by our judge."""
    source = common.images()
    model = common.mlp(source)

    def block(number: int) -> Block:
        found = bounds.scores(model, source.eval_batches("test", SETTINGS.eval_batch), samples=1, seed=number)
        return {"units": len(found.recon)}

    return profiled(block)


def nll() -> Job:
    """log p(x) of test images by importance sampling."""
    source = common.images()
    model, x = common.mlp(source), common.pixels(source, "test")[: SETTINGS.nll_images]

    def block(_: int) -> Block:
        importance_weights(model, x, SETTINGS.nll_samples)
        return {"units": len(x)}

    return profiled(block)


def sampling() -> Job:
    """Images from the prior."""
    model = common.mlp(common.images()).eval()

    @torch.no_grad()
    def block(_: int) -> Block:
        drawn = [model.sample(SETTINGS.sample_batch) for _ in range(SETTINGS.samples // SETTINGS.sample_batch)]
        return {"units": len(torch.cat(drawn))}

    return profiled(block)


def time_to_elbo() -> Job:
    """Train from a fresh start until our judge has seen the ELBO."""
    source = common.images()
    judge = common.Judge(source)

    def block(number: int, most: int | None = None) -> Block:
        torch.manual_seed(number)
        model = common.mlp(source)
        watched = common.Watched(Shuffled(source, SETTINGS.batch, number), lambda: judge.elbo(model), most)
        return watched.run(one_pass(model, watched))

    return Job(block, warm_up=lambda: block(0, most=20))


def prepare(task: str, *, threads: int, precision: str = "fp32") -> Job:
    """Prepare a task of the plan."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    if task == "train_mlp":
        return training(SETTINGS.batch, precision=precision)
    if task == "train_conv":
        return training_conv(precision=precision)
    return {"evaluate": evaluation, "nll": nll, "sample": sampling, "time_to_elbo": time_to_elbo}[task]()
