"""The feature space in which generated examples stand beside real ones: what a small classifier, trained here from a
fixed seed, has before its last layer.

It is no Inception network, and distances in it are no FID. It is trained once for a data set, and kept in the data
root; other features give other figures, so the sum of its weights is in every record, and a page warns of two.
"""

import hashlib
import json
import math
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn
from torch.nn import functional

from bench import seeds
from bench.data.batches import Data
from bench.data.files import data_root
from bench.disk.files import write_bytes
from bench.errors import BenchError
from bench.judge.bounds import EVAL_BATCH

# Whoever changes the network or its training raises this.
VERSION = 1
WIDTH = 64
EXAMPLES, STEPS, BATCH, RATE = 20_000, 1_000, 64, 1e-3

Array = NDArray[np.float64]


class Classifier(nn.Module):
    """Two convolutions for images, one layer for vectors, then `WIDTH` features and a class."""

    scale: Tensor

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        if len(shape) == 3:
            side = 4  # whatever the size of an image, so many cells of it are told apart in each direction
            first: list[nn.Module] = [
                nn.Conv2d(shape[0], 32, 3, stride=2, padding=1),
                nn.ReLU(),
                nn.Conv2d(32, 64, 3, stride=2, padding=1),
                nn.ReLU(),
                nn.AdaptiveAvgPool2d(side),
                nn.Flatten(),
                nn.Linear(64 * side**2, WIDTH),
                nn.ReLU(),
            ]
        else:
            first = [nn.Flatten(), nn.Linear(math.prod(shape), 128), nn.ReLU(), nn.Linear(128, WIDTH), nn.ReLU()]
        self.body = nn.Sequential(*first)
        self.head = nn.Linear(WIDTH, classes)
        # Root mean square of the features in training: a kernel of them then has a scale that is always the same.
        self.register_buffer("scale", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        """Features `[B, WIDTH]` of x `[B, *shape]`."""
        features: Tensor = self.body(x) / self.scale
        return features


class Space(NamedTuple):
    """A trained classifier, and what is to be known of it.

    Attributes:
        network: in evaluation mode, on the device of the data.
        sha256: of its weights.
        accuracy: on the test split.
    """

    network: Classifier
    sha256: str
    accuracy: float


def space(data: Data) -> Space | None:
    """The feature space of a data set, trained if it is not kept; None for data without classes."""
    classes = _classes(data)
    if classes < 2:
        return None
    facts = [VERSION, data.checksum, data.binarise, data.splits["train"], torch.__version__]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    path = data_root() / "features" / f"{Path(data.name).stem}_{digest}.safetensors"
    # The weights are drawn from a stream of their own, so that whoever trains it disturbs no other.
    with seeds.stream(seeds.JUDGE, "features", "cpu"):
        network = Classifier(data.spec.shape, classes)
    try:
        network.load_state_dict(load_tensors(path.read_bytes()))
    except (OSError, SafetensorError):
        _train(network, data)
        with suppress(OSError, BenchError):  # it is trained again next time
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, _content(network))
    sha256 = hashlib.sha256(_content(network)).hexdigest()
    network.to(data.device).eval()
    return Space(network, sha256, _accuracy(network, data))


def _classes(data: Data) -> int:
    """Number of classes of the training examples; 0 without labels."""
    highest = max(int(y.max()) for _, y in data.eval_batches("train", 1000, limit=EXAMPLES))
    return highest + 1 if highest > 0 else 0


def _content(network: Classifier) -> bytes:
    return save_tensors({name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()})


def _train(network: Classifier, data: Data) -> None:
    """Passes over the training split in its order, until enough steps are made; on the CPU, whatever the device of
    the data: the features of two machines shall differ by no more than they must."""
    optimiser = torch.optim.Adam(network.parameters(), RATE)
    network.train()
    passes = iter(lambda: data.eval_batches("train", BATCH, limit=EXAMPLES), None)
    for x, y in islice(chain.from_iterable(passes), STEPS):
        optimiser.zero_grad()
        functional.cross_entropy(network.head(network(x.cpu())), y.cpu()).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    network.eval()
    with torch.no_grad():
        squares = [network(x.cpu()).square().mean() for x, _ in data.eval_batches("train", EVAL_BATCH, limit=2000)]
    network.scale.fill_(math.sqrt(max(1e-12, torch.stack(squares).mean().item())))


@torch.no_grad()
def _accuracy(network: Classifier, data: Data) -> float:
    right = [
        (network.head(network(x) * network.scale).argmax(1) == y) for x, y in data.eval_batches("test", EVAL_BATCH)
    ]
    return torch.cat(right).double().mean().item()


@torch.no_grad()
def features(network: nn.Module, x: Tensor) -> Array:
    """`[B, WIDTH]` float64 of x `[B, *shape]`."""
    return np.asarray(network(x).cpu().double().numpy())
