"""This suite's own side."""

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn

from bench import seeds
from bench.api.about import About
from bench.api.model import Model
from bench.cells.clock import matrix_flops
from bench.data.batches import Data
from bench.device import keep_memory
from bench.judge import bounds
from bench.judge.evidence import importance_weights
from bench.settings import Budget
from bench.train.steps import stepper_for
from tests.performance.peers import common
from tests.performance.peers.plan import SETTINGS, Block, Job
from tests.performance.peers.profiles import work
from variants.core import VAE
from variants.data_spec import DataSpec
from variants.parts import assemble
from variants.parts.networks import Decoder, Encoder


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
    decoder = nn.Sequential(nn.Linear(latent, 1024 * 4 * 4), nn.Unflatten(-1, (1024, 4, 4)), *up)
    return Encoder("pythae_conv", nn.Sequential(*down, nn.Flatten()), 1024), Decoder(decoder, data.shape)


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


def training(source: Data, model: VAE, batch: int, precision: str = "fp32") -> Job:
    """Train a model; a block is one pass over the source."""
    job = work(one_pass(model, Shuffled(source, batch), precision=precision), source.splits["train"])
    # Of a compiled step a profile would show made-up names.
    return Job(job.block) if "compile" in precision else job


def training_mlp(batch: int, precision: str = "fp32") -> Job:
    """Train the MLP."""
    source = common.images(SETTINGS.block)
    return training(source, common.mlp(source), batch, precision)


def training_conv(precision: str) -> Job:
    """Train the convolutional network."""
    source = common.images(SETTINGS.conv_block)
    model = assemble(source.spec, network=convnet, latent=SETTINGS.conv_latent, posterior=common.PlainHeads)
    return training(source, model, SETTINGS.conv_batch, precision)


def evaluation() -> Job:
    """The ELBO of the test split, one draw an image, by our judge."""
    source = common.images()
    model = common.mlp(source)

    def judge(number: int) -> None:
        bounds.scores(model, source.eval_batches("test", SETTINGS.eval_batch), samples=1, seed=number)

    return work(judge, source.splits["test"])


def nll() -> Job:
    """log p(x) of test images by importance sampling."""
    source = common.images()
    model, x = common.mlp(source), common.pixels(source, "test")[: SETTINGS.nll_images]
    return work(lambda _: importance_weights(model, x, SETTINGS.nll_samples), len(x))


def sampling() -> Job:
    """Images from the prior."""
    source = common.images()
    model = Model(common.mlp(source), source.spec, About(variant="vanilla"))

    def sample(_: int) -> None:
        for _ in range(SETTINGS.sample_calls):
            model.sample(SETTINGS.samples)

    return work(sample, SETTINGS.sample_calls * SETTINGS.samples)


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


def matmul(n: int, repeats: int) -> Job:
    """The machine's own limit: products of two n x n matrices in fp32, 2 n^3 operations each, one after the other."""
    a, b, out = torch.rand(n, n), torch.rand(n, n), torch.empty(n, n)

    def multiply(_: int) -> None:
        for _ in range(repeats):
            torch.mm(a, b, out=out)

    return Job(work(multiply, repeats * 2 * n**3 / 1e9).block)


def in_flops(job: Job) -> Job:
    """The same job, counting 10^9 operations instead of images. Counted once, by running a block."""
    total = matrix_flops(lambda: job.block(0)) / 1e9
    return Job(work(job.block, total).block, profile=job.profile)


def prepare(task: str, *, threads: int, precision: str = "fp32", limit: str = "", n: int = 0) -> Job:
    """Prepare a task of the plan; of the limits, matrix products or training at size n, or the NLL."""
    torch.set_num_threads(threads)
    keep_memory()  # as cells do
    torch.manual_seed(0)
    jobs: dict[str, Callable[[], Job]] = {
        "train_mlp": lambda: training_mlp(SETTINGS.batch, precision),
        "train_conv": lambda: training_conv(precision),
        "evaluate": evaluation,
        "nll": nll,
        "sample": sampling,
        "time_to_elbo": time_to_elbo,
        "limits matmul": lambda: matmul(n, SETTINGS.matmul_repeats[n]),
        "limits train": lambda: in_flops(training_mlp(n)),
        "limits nll": lambda: in_flops(nll()),
    }
    return jobs[f"{task} {limit}".strip()]()
