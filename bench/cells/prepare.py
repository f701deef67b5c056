"""What is measured: a cell's data and its model, built, checked, and trained or given the weights it was trained to."""

from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from bench import data, seeds
from bench import device as devices
from bench.cells import weights
from bench.cells.events import Epochs, Note, Tell
from bench.data.batches import Data
from bench.judge.bounds import given, look
from bench.records.record import Cell, Model, Record
from bench.resume import checkpoint
from bench.resume.checkpoint import Checkpoint
from bench.resume.sealed import Facts
from bench.settings import Budget
from bench.text import said
from bench.train.diverged import Diverged
from bench.train.loop import train
from variants import registry
from variants.core import VAE
from variants.parts import part_names


def build(cell: Cell, result: Record, seed: int, train_size: int | None) -> tuple[VAE, Data]:
    """The data of a cell and its model with the initial weights of `seed`, both on its device; `result` is told what
    they are.

    Raises:
        BenchError, registry.RegistryError: data that cannot be had, or no such variant.
        TypeError, ValueError: the recipe returned no VAE, or one whose shapes are wrong.
    """
    device = cell["device"]
    _set_back(cell)
    result.provenance.device_name = devices.describe(device)
    precision = result.provenance.matmul_precision = torch.get_float32_matmul_precision()
    result.provenance.cpu_kernels = devices.kernels()
    loaded = data.load(
        cell["dataset"],
        binarise=cell["binarise"],
        train_size=train_size,
        device=device,
        **cell["data_options"],
    )
    result.provenance.data_sha256 = loaded.checksum
    model = registry.seeded(cell["variant"], loaded.spec, seeds.derive(seed, "init"), **cell["overrides"])
    _set_back(cell)
    torch.set_float32_matmul_precision(precision)
    if not isinstance(model, VAE):
        raise TypeError(f"the recipe returned {type(model).__name__}, not a VAE")
    result.model = Model(
        **part_names(model),  # type: ignore[arg-type]
        support=model.likelihood.support,
        has_bound=model.has_bound,
        conditional=model.conditional or None,
        data_dims=loaded.spec.dims,
        units=loaded.units,
    )
    model.to(device)
    with torch.no_grad(), seeds.stream(seed, "check", device):
        check_shapes(model.eval(), *next(loaded.eval_batches("valid", 2)))
    return model, loaded


def _set_back(cell: Cell) -> None:
    """Whatever a recipe did to what all of a process has in common."""
    torch.set_num_threads(cell["threads"])
    torch.set_default_dtype(torch.float32)
    torch.backends.cudnn.allow_tf32 = False  # fp32 means fp32, in convolutions as in matrix products


def check_shapes(model: VAE, x: Tensor, y: Tensor) -> None:
    """Refuse what broadcasting would let pass: a wrong shape gives numbers, but not the ones that they are called."""
    batch = given(model, x, y)
    terms, k, b = model.terms(batch, 3), 3, len(x)
    latent = terms.q.event_shape
    try:
        mean = terms.q.mean
    except NotImplementedError as error:
        raise ValueError(f"q(z|x), a {type(terms.q).__name__}, needs a mean: implement its property mean") from error
    expected = {
        "the mean of q(z|x)": (mean, (b, *latent)),
        "z": (terms.z, (k, b, *latent)),
        "log p(x|z)": (terms.log_px_z, (k, b)),
        "the mean of p(x|z)": (model.decode(terms.z).mean, (k, *x.shape)),
        "the loss": (model.loss(batch), (b,)),
    }
    if model.has_bound:
        expected |= {
            "log p(z)": (terms.log_pz, (k, b)),
            "log q(z|x)": (terms.log_qz_x, (k, b)),
            "the KL": (terms.kl, (b,)),
        }
    for name, (tensor, shape) in expected.items():
        if tuple(tensor.shape) != shape:
            raise ValueError(f"{name} has shape {tuple(tensor.shape)} where {shape} belongs (K = {k}, B = {b})")


def check_batches(model: VAE, size: int, batch_size: int) -> None:
    """ValueError if training would end in the middle: the statistics of a batch are not those of one example."""
    if size % batch_size == 1 and any(isinstance(module, _BatchNorm) for module in model.modules()):
        raise ValueError(
            f"of {size} examples in batches of {batch_size} the last has one, and batch normalisation needs two: "
            f"--set batch_size={batch_size + 1}, say"
        )


def trained(model: VAE, loaded: Data, cell: Cell, result: Record, tell: Tell, kept: Path | None) -> Facts:
    """Train a model of `build`, or give it the weights that the same training left before.

    Args:
        model: with its initial weights.
        loaded: its data.
        cell: its configuration.
        result: the record, told if the weights cannot be kept.
        tell: given the epochs that are done, and why what was kept is not used.
        kept: where the weights are kept; None keeps nothing.

    Returns:
        Of the training: its `curve`, `train_s` (seconds), `provenance` and `source`.

    Raises:
        Diverged: a number is no longer finite.
    """

    def note(line: str) -> None:
        tell(Note(cell, line))

    known = result.provenance
    # A user's file may have been replaced since the training.
    source = {
        "code": known.training_sha256,
        "libraries": known.versions,
        "data": known.data_sha256,
        "kernels": [known.cpu_kernels, known.matmul_precision],
    }
    keys = ("commit", "dirty", "started", "device_name", "data_sha256", "training_sha256")
    running = Checkpoint(
        checkpoint.path(kept) if kept else None,
        # A half training goes on to the same bytes only on its own hardware; a whole one is measured elsewhere too.
        source=source | {"hardware": known.device_name},
        provenance={key: getattr(known, key) for key in keys},
        on_note=note,
    )
    if kept and kept.exists():
        try:
            training = weights.read(kept, model, source)
        except ValueError as error:
            note(f"training starts anew, for the file of its kept weights {error}")
        else:
            running.close()  # a kill may have come between the weights and the checkpoint
            return training
    try:
        curve = train(
            model,
            loaded,
            Budget(**cell["budget"]),
            look=partial(look, data=loaded),
            seed=cell["seed"],
            device=cell["device"],
            precision=cell["precision"],
            on_epoch=lambda curve: tell(Epochs(cell, len(curve))),
            checkpoint=running,
        )
    except Diverged:
        running.close()  # the same training would diverge again
        raise
    training = {"curve": curve, "train_s": running.train_s, "provenance": running.provenance, "source": source}
    if kept:
        try:
            weights.write(kept, model, training)
            running.close()
        except Exception as error:
            # A full disk, or a state that is no tensor: what was trained can still be measured.
            result.no_weights = said(error)
    return training
