"""A training script in the manner of the usual PyTorch VAE example: one file, torchvision's MNIST through a DataLoader,
a module that returns the reconstruction, mean and log-variance, and a loss that is summed over the batch.

Its loops are the usual ones, left as they are; only `prepare` knows that they are timed.
"""

import struct
import tempfile
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Subset
from torchvision import datasets, transforms

from bench.data.batches import Data
from tests.performance.peers import common
from tests.performance.peers.plan import SETTINGS, Block, Job
from tests.performance.peers.profiles import work


class Model(nn.Module):
    """784 - 512 - (20, 20) and 20 - 512 - 784, ReLU between, sigmoid at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, SETTINGS.hidden)
        self.fc_mean = nn.Linear(SETTINGS.hidden, SETTINGS.latent)
        self.fc_log_variance = nn.Linear(SETTINGS.hidden, SETTINGS.latent)
        self.fc3 = nn.Linear(SETTINGS.latent, SETTINGS.hidden)
        self.fc4 = nn.Linear(SETTINGS.hidden, 784)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x `[B, 784]` -> mean and log sigma^2, `[B, 20]` each."""
        h = functional.relu(self.fc1(x))
        return self.fc_mean(h), self.fc_log_variance(h)

    def decode(self, z: Tensor) -> Tensor:
        """z `[B, 20]` -> P(pixel = 1), `[B, 784]`."""
        return torch.sigmoid(self.fc4(functional.relu(self.fc3(z))))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x `[B, 1, 28, 28]` -> reconstruction, mean, log-variance."""
        mean, log_variance = self.encode(x.view(-1, 784))
        deviation = torch.exp(0.5 * log_variance)
        z = mean + deviation * torch.randn_like(deviation)
        return self.decode(z), mean, log_variance


def reconstruction_loss(reconstruction: Tensor, x: Tensor) -> Tensor:
    """-log p(x|z), summed over pixels and batch."""
    return functional.binary_cross_entropy(reconstruction, x.view(-1, 784), reduction="sum")


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(q(z|x) || p(z)), summed over latents and batch."""
    return -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())


def train(model: Model, loader: Iterable[tuple[Tensor, Tensor]], optimizer: torch.optim.Optimizer) -> float:
    """One pass; the summed loss."""
    model.train()
    total = 0.0
    for x, _ in loader:
        optimizer.zero_grad()
        reconstruction, mean, log_variance = model(x)
        loss = reconstruction_loss(reconstruction, x) + divergence(mean, log_variance)
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
        optimizer.step()
    return total


def test(model: Model, loader: Iterable[tuple[Tensor, Tensor]]) -> float:
    """The summed loss of a split."""
    model.eval()
    total = 0.0
    with torch.no_grad():
        for x, _ in loader:
            reconstruction, mean, log_variance = model(x)
            loss = reconstruction_loss(reconstruction, x) + divergence(mean, log_variance)
            total += loss.item()
    return total


def layers(model: Model) -> dict[str, nn.Linear]:
    """Its layers by the names of `common.LAYERS`, with `log_variance` for `log_scale`."""
    return {
        "hidden": model.fc1,
        "loc": model.fc_mean,
        "log_variance": model.fc_log_variance,
        "decoder_hidden": model.fc3,
        "logits": model.fc4,
    }


def write_idx(path: Path, values: Tensor) -> None:
    """An array of bytes as an IDX file: magic number with its rank, sizes, values (Yann LeCun's format)."""
    sizes = struct.pack(f">{values.ndim}I", *values.shape)
    path.write_bytes(bytes([0, 0, 8, values.ndim]) + sizes + values.to(torch.uint8).numpy().tobytes())


def mnist(source: Data) -> tuple[datasets.MNIST, datasets.MNIST]:
    """Train and test split as torchvision's MNIST, from files with these pixels: `ToTensor` gives 0 and 1 again."""
    with tempfile.TemporaryDirectory() as root:
        raw = Path(root) / "MNIST" / "raw"
        raw.mkdir(parents=True)
        for split, stem in (("train", "train"), ("test", "t10k")):
            x = common.pixels(source, split)
            write_idx(raw / f"{stem}-images-idx3-ubyte", 255 * x.squeeze(1))
            write_idx(raw / f"{stem}-labels-idx1-ubyte", torch.zeros(len(x)))
        # It holds its images in memory from here on.
        train, test = (datasets.MNIST(root, train=part, transform=transforms.ToTensor()) for part in (True, False))
    return train, test


def prepare(task: str, *, threads: int) -> Job:
    """Prepare one of the tasks train_mlp, evaluate and time_to_elbo."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    source = common.images()
    train_set, test_set = mnist(source)
    return {
        "train_mlp": lambda: _training(Subset(train_set, range(SETTINGS.block))),
        "evaluate": lambda: _evaluation(test_set),
        "time_to_elbo": lambda: _time_to_elbo(train_set, common.Judge(source)),
    }[task]()


def _loader(dataset: torch.utils.data.Dataset[tuple[Tensor, Tensor]]) -> DataLoader[tuple[Tensor, Tensor]]:
    return DataLoader(dataset, batch_size=SETTINGS.batch, shuffle=True)


def _fresh() -> tuple[Model, torch.optim.Optimizer]:
    model = Model()
    return model, torch.optim.Adam(model.parameters(), lr=SETTINGS.lr)


def _training(dataset: Subset[tuple[Tensor, Tensor]]) -> Job:
    model, optimizer = _fresh()
    loader = _loader(dataset)
    return work(lambda _: train(model, loader, optimizer), len(dataset))


def _evaluation(dataset: datasets.MNIST) -> Job:
    model, loader = Model(), DataLoader(dataset, batch_size=SETTINGS.eval_batch)
    return work(lambda _: test(model, loader), len(dataset))


def _time_to_elbo(dataset: datasets.MNIST, judge: common.Judge) -> Job:
    def block(number: int, most: int | None = None) -> Block:
        torch.manual_seed(number)
        model, optimizer = _fresh()
        watched = common.Watched(_loader(dataset), lambda: judge.elbo_of(layers(model)), most)
        return watched.run(lambda _: train(model, watched, optimizer))

    return Job(block, warm_up=lambda: block(0, most=20))
