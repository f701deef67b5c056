"""One cell of a suite -> one Record: JSON in, JSON out. It knows no suite, no engine and no other cell."""

import glob
import hashlib
import io
import math
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from bench import checkpoint, clock, data, measure, record, seeds, weights
from bench import device as devices
from bench.checkpoint import Checkpoint
from bench.data.batches import Data
from bench.errors import BenchError
from bench.notebook import Notebook
from bench.record import Cell, Record
from bench.suite import Budget, Clock, Measure
from bench.train import Diverged, train
from variants import registry
from variants.core import VAE
from variants.parts import part_names

# Evenly spaced test examples shown as reconstructions, draws from the prior, and points on the latent plane; draws for
# the covariance of a posterior that has none in closed form.
SHOWN, DRAWN, PLACED, MOMENT_DRAWS = 8, 32, 500, 512


def run_cell(
    kind: str,
    cell: Cell,
    provenance: dict[str, Any],
    on_epoch: Callable[[int], None] = lambda _: None,
    on_measured: Callable[[str, int, int], None] = lambda *_: None,
    on_note: Callable[[str], None] = lambda _: None,
    out: Path | None = None,
) -> tuple[Record, bytes | None]:
    """Run one cell in this process. Whatever the variant does short of ending the process becomes the record's status.

    Args:
        kind: `"quality"` (train and measure), `"throughput"`, or `"oracle"` (check the judge).
        cell: its configuration, see `bench.suite.Suite`.
        provenance: where the code comes from, kept in the record.
        on_epoch: told the number of finished epochs after each.
        on_measured: told a measurement, how many of its batches are done, and how many there are.
        on_note: told in one line what a user should know of while the cell runs.
        out: results folder; trained weights are kept there, and found there if the cell was trained before, and so is
            what a stopped cell had trained and measured.

    Returns:
        The record, and the artefacts (an npz archive of pictures and latent points) of a suite's first seed.
    """
    result = record.new(kind, cell, provenance)
    artefacts = None
    try:
        if kind == "throughput":
            _throughput(cell, result)
        elif kind == "oracle":
            from bench.oracle import checks

            checks.run(cell, result)
        else:
            artefacts = _quality(cell, result, on_epoch, on_measured, on_note, out)
        result["status"] = "ok"
    except Diverged as error:
        result |= {"status": "diverged", "reason": str(error)}
    except (BenchError, registry.RegistryError) as error:
        result |= {"status": "error", "reason": str(error)}
    except (Exception, SystemExit) as error:
        text = " ".join(str(error).split()) or "no message"
        result |= {"status": "error", "reason": f"{type(error).__name__}: {text[:300]}"}
        result["traceback"] = traceback.format_exc()
    return result, artefacts


def _prepare(cell: Cell, result: Record, seed: int, train_size: int | None) -> tuple[VAE, Data]:
    torch.set_num_threads(cell["threads"])
    torch.backends.cudnn.allow_tf32 = False  # fp32 means fp32, in convolutions as in matrix products
    device = cell["device"]
    result["provenance"] |= {
        "device_name": devices.describe(device),
        "matmul_precision": torch.get_float32_matmul_precision(),
    }
    loaded = data.load(
        cell["dataset"],
        binarise=cell["binarise"],
        train_size=train_size,
        device=device,
        **cell["data_options"],
    )
    result["provenance"]["data_sha256"] = loaded.checksum
    model = registry.seeded(cell["variant"], loaded.spec, seeds.derive(seed, "init"), **cell["overrides"])
    # Whatever the recipe did to what all of a process has in common.
    torch.set_num_threads(cell["threads"])
    torch.set_default_dtype(torch.float32)
    if not isinstance(model, VAE):
        raise TypeError(f"the recipe returned {type(model).__name__}, not a VAE")
    result["model"] = part_names(model) | {
        "support": model.likelihood.support,
        "has_bound": model.has_bound,
        "kl_method": None,
        "latent": None,
        "data_dims": loaded.spec.dims,
    }
    model.to(device)
    with torch.no_grad(), seeds.stream(seed, "check", device):
        _check_shapes(model.eval(), next(loaded.eval_batches("valid", 2))[0])
    return model, loaded


def _check_shapes(model: VAE, x: Tensor) -> None:
    """Refuse what broadcasting would let pass: a wrong shape gives numbers, but not the ones that they are called."""
    terms, k, b = model.terms(x, 3), 3, len(x)
    latent = terms.q.event_shape
    expected = {
        "z": (terms.z, (k, b, *latent)),
        "log p(x|z)": (terms.log_px_z, (k, b)),
        "the mean of p(x|z)": (model.decode(terms.z).mean, (k, *x.shape)),
        "the loss": (model.loss(x), (b,)),
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


def _quality(
    cell: Cell,
    result: Record,
    on_epoch: Callable[[int], None],
    on_measured: Callable[[str, int, int], None],
    on_note: Callable[[str], None],
    out: Path | None,
) -> bytes | None:
    seed, budget, how = cell["seed"], Budget(**cell["budget"]), Measure(**cell["measure"])
    model, loaded = _prepare(cell, result, seed, budget.train_size)
    kept = weights.path(out, cell) if out else None
    training = _trained(model, loaded, budget, cell, result, on_epoch, on_note, kept)
    result["curve"] = training["curve"]
    result["provenance"]["trained"] = training["provenance"]
    started = time.perf_counter()
    notebook = Notebook(_notes(kept, result, on_note), on_measured)
    judgement = measure.evaluate(model, loaded, how, notebook)
    result["timing"] = {"train_s": training["train_s"], "measure_s": time.perf_counter() - started}
    result["model"]["kl_method"] = judgement.kl_method
    notebook.close()
    broken = [name for name, value in judgement.metrics.items() if value is not None and not math.isfinite(value)]
    if broken:
        raise Diverged(f"not finite at evaluation: {', '.join(broken)}")
    result |= {"metrics": judgement.metrics, "errors": judgement.errors, "latent": judgement.latent}
    with torch.no_grad(), seeds.stream(seed, "pictures", cell["device"]):
        x, _ = next(loaded.eval_batches("test", 1, limit=1))
        result["model"]["latent"] = model.infer(x).event_shape.numel()
        try:
            return _artefacts(model, loaded) if seed == 0 else None
        except Exception as error:
            # Pictures decorate a result, and must not cost it: a posterior may well have no variance in closed form.
            result["no_pictures"] = f"{type(error).__name__}: {error}"
            return None


def _notes(kept: Path | None, result: Record, on_note: Callable[[str], None]) -> Path | None:
    """Where a stopped measurement is kept. It is one of these weights by this code: others are no use, and go."""
    if kept is None or not kept.exists():
        return None
    code = str(result["provenance"].get("code_sha256"))
    digest = hashlib.sha256(kept.read_bytes() + code.encode()).hexdigest()[:10]
    own = kept.with_name(f"{result['id']}_{digest}.notes.json")
    for other in kept.parent.glob(f"{glob.escape(result['id'])}_*.notes.json"):
        if other != own:
            on_note("measuring starts anew, for what was measured is of other weights or code")
            other.unlink(missing_ok=True)
    return own


def _trained(
    model: VAE,
    loaded: Data,
    budget: Budget,
    cell: Cell,
    result: Record,
    on_epoch: Callable[[int], None],
    on_note: Callable[[str], None],
    kept: Path | None,
) -> dict[str, Any]:
    """Train `model`, or give it the weights that the same training left before: curve, seconds, provenance."""
    # What they were trained on is a file that may since have been replaced.
    known = result["provenance"]
    data_sha256 = known["data_sha256"]
    keys = ("commit", "dirty", "started", "device_name", "data_sha256", "training_sha256")
    running = Checkpoint(
        checkpoint.path(kept) if kept else None,
        source={
            "code": known.get("training_sha256"),
            "libraries": known.get("versions"),
            "data": data_sha256,
            "hardware": [known["device_name"], known["matmul_precision"]],
        },
        provenance={key: known.get(key) for key in keys},
        on_note=on_note,
    )
    about = weights.about(kept) if kept else None
    if kept and about and about["provenance"].get("data_sha256") == data_sha256:
        # Weights of before the code was noted are taken as they are.
        if about["provenance"].get("training_sha256") not in (None, known.get("training_sha256")):
            on_note("training starts anew, for its kept weights were made by other code")
        elif training := weights.read(kept, model):
            running.close()  # a kill may have come between the two
            return training
    try:
        curve = train(
            model,
            loaded,
            budget,
            seed=cell["seed"],
            device=cell["device"],
            precision=cell["precision"],
            on_epoch=on_epoch,
            checkpoint=running,
        )
    except Diverged:
        running.close()  # it would diverge again
        raise
    training = {"curve": curve, "train_s": running.train_s, "provenance": running.provenance}
    if kept:
        try:
            weights.write(kept, model, training)
            running.close()
        except Exception as error:
            # A full disk, or a state that is no tensor: what was trained can still be measured.
            result["no_weights"] = f"{type(error).__name__}: {error}"
    return training


def _throughput(cell: Cell, result: Record) -> None:
    model, loaded = _prepare(cell, result, 0, None)
    how = Clock(cell["blocks"], cell["block_s"], cell["batch_size"])
    with seeds.stream(0, "throughput", cell["device"]):
        result["metrics"] = clock.throughput(
            model, loaded, how, seed=0, device=cell["device"], precision=cell["precision"]
        )


def _artefacts(model: VAE, loaded: Data) -> bytes:
    """Reconstructions, prior samples, and the two most active latent axes with each posterior's covariance on them."""
    model.eval()
    points, labels = next(loaded.eval_batches("test", PLACED, limit=min(PLACED, loaded.splits["test"])))
    shown, _ = next(loaded.eval_batches("test", SHOWN, limit=min(SHOWN, loaded.splits["test"])))
    q = model.infer(points)
    mean = q.mean
    axes = mean.var(0).topk(min(2, mean.shape[-1])).indices
    covariance = _covariance(q)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        inputs=_pixels(shown),
        reconstructions=_pixels(model.reconstruct(shown)),
        samples=_pixels(model.sample(DRAWN)),
        latent_mean=_numbers(mean[:, axes]),
        latent_cov=_numbers(covariance[:, axes][:, :, axes]),
        latent_axes=axes.cpu().numpy(),
        labels=labels.cpu().numpy(),
    )
    return buffer.getvalue()


def _covariance(q: Distribution) -> Tensor:
    """`[B, D, D]`: in closed form, or where there is none that of draws."""
    matrix: Tensor | None = getattr(q, "covariance_matrix", None)
    if matrix is not None:
        return matrix
    try:
        return q.variance.diag_embed()
    except NotImplementedError:
        z = q.sample(torch.Size([MOMENT_DRAWS]))
        z = (z - z.mean(0)).movedim(0, -1)
        return z @ z.mT / (MOMENT_DRAWS - 1)


def _pixels(x: Tensor) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    return (x.clamp(0, 1) * 255).round().to("cpu", torch.uint8).numpy()


def _numbers(x: Tensor) -> "np.ndarray[Any, np.dtype[np.float32]]":
    return x.to("cpu", torch.float32).numpy()
