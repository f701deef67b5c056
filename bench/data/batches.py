"""Data: the splits of one data set, and the two ways to walk through them."""

import copy
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bench.data import binarise as to_binary
from bench.data.entry import SPLITS
from bench.data.factors import Factors
from bench.data.given.facts import Scaling
from bench.data.readers import OnDemand, Raw
from bench.errors import UsageError
from bench.text import did_you_mean
from variants.core.batch import Batch
from variants.data_spec import DataSpec

# So many examples give the mean to 1 % of a pixel's standard deviation, and are read in seconds.
MEAN_OF_STREAMED = 10_000
# What training draws anew for every batch, and what it is judged on, which is drawn once.
DRAWN = {"dynamic": "fixed", "dequantise": "dequantise"}


class _Store(Protocol):
    """One split, prepared: hands out examples by their indices."""

    def batches(self, indices: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """For each `[B]` of indices, examples `[B, *shape]` as held and labels `[B]`, on the device."""
        ...


class _Resident:
    """A split that is indexed as a whole: on the device if it fits."""

    def __init__(self, images: NDArray[Any], labels: NDArray[np.int64], device: torch.device) -> None:
        # What lies in a file because it is large stays there, and its batches are moved.
        self.device = device
        place = torch.device("cpu") if isinstance(images, np.memmap) else device
        self.images = torch.from_numpy(images).to(place)
        self.labels = torch.from_numpy(labels).to(place)

    def batches(self, indices: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        for chunk in indices:
            here = chunk.to(self.images.device)
            yield self.images[here].to(self.device), self.labels[here].to(self.device)


class _Streamed(Dataset[tuple[Tensor, int]]):
    """A split too large to hold: workers read and prepare its examples, one at a time."""

    def __init__(
        self,
        images: OnDemand,
        labels: NDArray[np.int64],
        prepare: Callable[[NDArray[Any], int], NDArray[Any]],
        device: torch.device,
    ) -> None:
        self.images, self.labels, self.prepare, self.device = images, labels, prepare, device

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self.prepare(self.images[index][None], index)[0]
        return torch.from_numpy(image), int(self.labels[index])

    def batches(self, indices: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        loader = DataLoader(
            self,
            batch_sampler=[chunk.tolist() for chunk in indices],
            num_workers=min(4, os.cpu_count() or 1),
            pin_memory=self.device.type == "cuda",
            # A cell's own start method would have each worker import torch anew, seconds for every pass.
            multiprocessing_context="fork" if sys.platform == "linux" else None,
            # Without its own, the loader draws from torch's global generator, and would change the noise of a run.
            generator=torch.Generator(),
        )
        for images, labels in loader:
            yield images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)


class Truth(Protocol):
    """A density that is known."""

    def log_prob(self, x: Tensor) -> Tensor:
        """Exact log p(x) in nats: `[B, *shape]`, of any float type, on any device -> `[B]`, float64, on the CPU."""


class Data:
    """One data set, split, prepared and ready to be walked through. Made by `bench.data.load`.

    Attributes:
        name: the name it was asked for by.
        binarise: one of `bench.data.sets.BINARISATIONS`.
        options: the data set's options, defaults included.
        spec: shape and kind of one example, number of training examples in use, their mean.
        checksum: sha256 of the data as read (see `bench.data`), before binarisation and `train_size`.
        splits: number of examples in use, by split.
        streamed: whether examples are read from disk as they are needed.
        truth: the exact distribution of the data, where it is known, else None.
        factors: what the examples in use were made from, where it is known, else None.
        scaling: from the values of a user's own data to those that are modelled; of named sets nothing is done.
        says: what was decided about a user's own data, a line each.
        device: where batches are.
    """

    def __init__(
        self,
        name: str,
        binarise: str,
        options: Mapping[str, bool | int | float],
        spec: DataSpec,
        raw: Raw,
        train_size: int | None,
        device: str | torch.device,
        truth: Truth | None = None,
    ) -> None:
        self.name = name
        self.binarise = binarise
        self.options = dict(options)
        self.checksum = raw.checksum
        self.splits = {split: len(raw.images[split]) for split in SPLITS}
        if train_size is not None:
            _check_count("train_size", train_size)
            if raw.given is not None:
                train_size = min(train_size, self.splits["train"])
            elif train_size > self.splits["train"]:
                most = self.splits["train"]
                raise UsageError(
                    f"train_size {train_size} is more than {name} has to train on: --set train_size={most} or less"
                )
            self.splits["train"] = train_size
        size = self.splits["train"]
        if spec.labelled > size:
            raise UsageError(f"{name} has {size} examples to train on, fewer than labelled={spec.labelled}")
        if spec.pairs and size % 2:
            raise UsageError(f"{name} has {size} examples to train on, and pairs need an even number")
        self.spec = replace(spec, size=self.splits["train"], mean=self.mean)
        self.streamed = not isinstance(raw.images["train"], np.ndarray)
        self.truth = truth
        self.factors: Factors | None = raw.factors and raw.factors.first(self.splits)
        self.scaling = Scaling() if raw.given is None else raw.given.scaling
        self.says = () if raw.given is None else raw.given.says
        self.device = torch.device(device)
        self.raw = raw
        self._stores: dict[tuple[str, str], _Store] = {}
        # Split -> the one that is read in its place.
        self._instead: dict[str, str] = {}

    def without_test(self) -> "Data":
        """The same, but that the validation split stands in the place of the test split, which cannot be read."""
        other = copy.copy(self)
        other._instead = {"test": "valid"}
        other.splits = self.splits | {"test": self.splits["valid"]}
        if self.factors:
            other.factors = replace(self.factors, values={**self.factors.values, "test": self.factors.values["valid"]})
        return other

    def train_batches(
        self, batch_size: int, *, order: torch.Generator, noise: torch.Generator, first: int = 0, labels: bool = False
    ) -> Iterator[Any]:
        """One pass over the training split in a fresh order; the last batch may be smaller. Pairs stay side by side.

        Args:
            batch_size: number of examples B.
            order: generator on the CPU that shuffles.
            noise: generator on the device; what is drawn afresh for every batch is drawn from it.
            first: number of batches to pass over, unread and without a draw, where a stopped pass goes on.
            labels: whether batches come with their labels.

        Yields:
            x `[B, *shape]`, float32, on the device; with `labels` a `Batch` of x, y, which is -1 for all but the
            `labelled` examples, and c, all labels.

        Raises:
            UsageError: if `batch_size` is not a whole number of at least one, or is odd where data are pairs.
        """
        _check_count("batch_size", batch_size)
        if self.spec.pairs and batch_size % 2:
            raise UsageError(f"{self.name} has pairs: --set batch_size={batch_size + 1}, or another even number")
        together = 2 if self.spec.pairs else 1
        chosen = torch.randperm(self.splits["train"] // together, generator=order)
        chosen = (together * chosen.unsqueeze(1) + torch.arange(together)).flatten()
        indices = torch.split(chosen, batch_size)[first:]
        if self.binarise not in DRAWN:
            batches = self._read("train", self.binarise, indices)
        else:
            drawn = to_binary.dynamic if self.binarise == "dynamic" else to_binary.dequantise
            held = self._store("train", "none").batches(indices)
            batches = ((drawn(images, self.raw.levels, noise), y) for images, y in held)
        if not labels:
            return (x for x, _ in batches)
        shown = self._shown()
        seen = (shown[part].to(self.device) for part in indices)
        return (Batch(x, y, c) for (x, c), y in zip(batches, seen, strict=True))

    def _shown(self) -> Tensor:
        """The label of each training example, `[N]` on the CPU, or -1. The `labelled` are as many of each class as can
        be, the first of it."""
        labels = self.raw.labels["train"][: self.splits["train"]]
        places = np.arange(len(labels))
        in_class = np.zeros(len(labels), dtype=np.int64)
        for value in np.unique(labels):
            in_class[labels == value] = np.arange((labels == value).sum())
        first = np.lexsort((places, labels, in_class))[: self.spec.labelled]
        shown = np.full(len(labels), -1, dtype=np.int64)
        shown[first] = labels[first]
        return torch.from_numpy(shown)

    def eval_batches(self, split: str, batch_size: int, limit: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass over a split in a fixed order, with nothing dropped.

        What training draws afresh is here drawn once, the same for everybody, every batch size and every limit: under
        dynamic binarisation the images are those of "fixed".

        Args:
            split: "train", "valid" or "test".
            batch_size: number of examples B.
            limit: take this many of the N examples, evenly spaced at indices floor(i N / limit).

        Yields:
            `(x, y)` on the device: `[B, *shape]` float32, and `[B]` int64 labels, zeros where there are none.

        Raises:
            UsageError: on an unknown split, or if a number is not a whole number of at least one.
        """
        if split not in self.splits:
            raise UsageError(f"unknown split {split!r}{did_you_mean(split, SPLITS)}; choose one of {', '.join(SPLITS)}")
        _check_count("batch_size", batch_size)
        if limit is not None:
            _check_count("limit", limit)
        indices = torch.split(self.places(split, limit), batch_size)
        return self._read(split, DRAWN.get(self.binarise, self.binarise), indices)

    def places(self, split: str, limit: int | None = None) -> Tensor:
        """Where in its split each example of `eval_batches` stands, `[B]` int64: floor(i N / limit)."""
        n = self.splits[split]
        count = n if limit is None else min(limit, n)
        return torch.arange(count) * n // count

    @property
    def units(self) -> str | None:
        """In which units log densities of a user's own data are, in words; None of named sets and of probabilities."""
        if self.raw.given is None or self.spec.kind in ("binary", "levels", "counts"):
            return None
        if self.binarise == "dequantise":
            return f"log densities of (level + noise) / {self.raw.levels + 1}"
        return self.raw.given.units(self.spec.shape)

    def mean(self) -> NDArray[np.float64]:
        """Mean of the training examples in use, of `spec.shape`; of their grey values where they are drawn afresh.

        Of data that are streamed it is that of `MEAN_OF_STREAMED` evenly spaced examples.
        """
        n = self.splits["train"]
        count = min(n, MEAN_OF_STREAMED) if self.streamed else n
        how = "none" if self.binarise in DRAWN else self.binarise
        indices = torch.split(torch.arange(count) * n // count, 1000)
        # On the CPU, for not every device has double precision.
        total = sum(x.cpu().double().sum(0) for x, _ in self._read("train", how, indices))
        return (torch.as_tensor(total) / count).numpy()

    def _read(self, split: str, how: str, indices: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        levels = self.raw.levels if how in ("none", "levels") else 1
        for images, labels in self._store(split, how).batches(indices):
            yield images.float() / levels, labels

    def _store(self, split: str, how: str) -> _Store:
        """The split as held under a binarisation, prepared at its first use."""
        split = self._instead.get(split, split)
        if (split, how) not in self._stores:
            images, labels = self.raw.images[split], self.raw.labels[split]
            ready = partial(prepare, levels=self.raw.levels, split=split, how=how)
            n = self.splits[split]
            if isinstance(images, np.ndarray):
                held = self.raw.prepared.get((split, how))
                whole = ready(images[:n], 0) if held is None else held[:n]
                self._stores[split, how] = _Resident(whole, labels[:n], self.device)
            else:
                self._stores[split, how] = _Streamed(images, labels, ready, self.device)
        return self._stores[split, how]


def prepare(images: NDArray[Any], first: int, *, levels: int, split: str, how: str) -> NDArray[Any]:
    """Images `[N, *shape]` as they are held: as read, uint8 zeros and ones, or with their noise."""
    if how == "fixed":
        return to_binary.fixed(images, levels, split, first)
    if how == "threshold":
        return to_binary.threshold(images, levels)
    if how == "dequantise":
        return to_binary.dequantised(images, levels, split, first)
    return images


def _check_count(what: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"{what} must be a whole number of at least 1, got {value!r}")
