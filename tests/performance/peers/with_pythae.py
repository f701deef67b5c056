"""pythae's side: its own model, trainer, likelihood estimate and sampler, called as its documentation does.

The only module that imports it. What it prints, and its progress bar, are silenced, which is kind to it.
"""

import logging
import tempfile
from typing import Any

import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.nn.benchmarks.mnist import Decoder_Conv_AE_MNIST, Encoder_Conv_VAE_MNIST
from pythae.samplers import NormalSampler
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import CallbackHandler, TrainingCallback
from torch import Tensor, nn

from bench.device import keep_memory
from tests.performance.peers import common
from tests.performance.peers.plan import SETTINGS, Block, Job
from tests.performance.peers.profiles import work


def mlp() -> Any:
    """Its default network, 784 - 512 - (20, 20) and 20 - 512 - 784."""
    return VAE(VAEConfig(input_dim=(1, 28, 28), latent_dim=SETTINGS.latent, reconstruction_loss="bce"))


def conv() -> Any:
    """Its own convolutional network for MNIST."""
    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=SETTINGS.conv_latent, reconstruction_loss="bce")
    return VAE(config, encoder=Encoder_Conv_VAE_MNIST(config), decoder=Decoder_Conv_AE_MNIST(config))


def layers(model: Any) -> dict[str, nn.Linear]:
    """The layers of its MLP by the names of `common.LAYERS`, with `log_variance` for `log_scale`."""
    return {
        "hidden": model.encoder.layers[0][0],
        "loc": model.encoder.embedding,
        "log_variance": model.encoder.log_var,
        "decoder_hidden": model.decoder.layers[0][0],
        "logits": model.decoder.layers[1][0],
    }


def trainer(model: Any, train: Tensor, batch: int, *, test: Tensor | None = None, seed: int = 0) -> Any:
    """Its trainer, ready for the first step; Adam is the implementation that it takes by default."""

    def dataset(x: Tensor) -> Any:
        return BaseDataset(x, torch.zeros(len(x)))

    with tempfile.TemporaryDirectory() as folder:  # it makes one that no step writes to
        config = BaseTrainerConfig(
            output_dir=folder,
            per_device_train_batch_size=batch,
            per_device_eval_batch_size=SETTINGS.eval_batch,
            learning_rate=SETTINGS.lr,
            seed=seed,
            no_cuda=True,
        )
        made = BaseTrainer(model, dataset(train), None if test is None else dataset(test), config)
        made.prepare_training()
    made.callback_handler = CallbackHandler([TrainingCallback()], model)
    return made


def _training(model: Any, size: int, batch: int) -> Job:
    made = trainer(model, common.pixels(common.images(size), "train"), batch)
    return work(lambda number: made.train_step(number + 1), size)


def _evaluation() -> Job:
    test = common.pixels(common.images(), "test")
    made = trainer(mlp(), test, SETTINGS.eval_batch, test=test)
    return work(lambda number: made.eval_step(number + 1), len(test))


def _nll() -> Job:
    model = mlp().eval()
    x = common.pixels(common.images(), "test")[: SETTINGS.nll_images]

    @torch.no_grad()  # its documentation does without, and pays for a graph that nobody needs
    def estimate(_: int) -> None:
        model.get_nll(x, n_samples=SETTINGS.nll_samples, batch_size=SETTINGS.nll_batch)

    return work(estimate, len(x))


def _sampling() -> Job:
    model = mlp()
    model.device = "cpu"
    sampler = NormalSampler(model)

    def sample(_: int) -> None:
        for _ in range(SETTINGS.sample_calls):
            sampler.sample(SETTINGS.samples, batch_size=SETTINGS.sample_batch)

    return work(sample, SETTINGS.sample_calls * SETTINGS.samples)


def _time_to_elbo() -> Job:
    source = common.images()
    train, judge = common.pixels(source, "train"), common.Judge(source)

    def block(number: int, most: int | None = None) -> Block:
        torch.manual_seed(number)
        model = mlp()
        made = trainer(model, train, SETTINGS.batch, seed=number)
        watched = common.Watched(made.train_loader, lambda: judge.elbo_of(layers(model)), most)
        made.train_loader = watched
        return watched.run(lambda epoch: made.train_step(epoch + 1))

    return Job(block, warm_up=lambda: block(0, most=20))


def prepare(task: str, *, threads: int, keep: bool = False) -> Job:
    """Prepare a task of the plan; `keep`: its process keeps the memory that it frees, as ours do."""
    torch.set_num_threads(threads)
    if keep:
        keep_memory()
    torch.manual_seed(0)
    logging.disable(logging.INFO)
    return {
        "train_mlp": lambda: _training(mlp(), SETTINGS.block, SETTINGS.batch),
        "train_conv": lambda: _training(conv(), SETTINGS.conv_block, SETTINGS.conv_batch),
        "evaluate": _evaluation,
        "nll": _nll,
        "sample": _sampling,
        "time_to_elbo": _time_to_elbo,
    }[task]()
