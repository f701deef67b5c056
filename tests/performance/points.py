"""One point of the growth benchmark: do the work of a series at one size, and say what it took. Runs in a process of
its own, whose peak memory is then that of this work alone."""

import io
import math
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

# What the work needs is imported here, so that neither its time nor its memory counts: the process that does nothing
# has it all as well. Every optimiser imports dynamo, and the report imports the rest.
import torch._dynamo
from msgspec.structs import replace
from PIL import Image

import bench.pages.figures  # noqa: F401 - see above
from bench import data, seeds
from bench.cells.clock import peak_memory_mb
from bench.data.batches import Data
from bench.data.readers import Photos, Raw
from bench.data.sets import SPLITS
from bench.engines import local
from bench.judge.bounds import parameter_count
from bench.judge.evidence import importance_weights
from bench.pages import report
from bench.records import record, store
from bench.settings import Budget, Clock, Measure
from bench.suites.suite import DataChoice, Suite, Variant
from bench.train.steps import stepper_for
from variants import registry
from variants.core import VAE
from variants.data_spec import DataSpec

BATCH = 128
# Timed calls of a short work last at least so long together.
LEAST_S = 0.5
# Importance samples of all images together, where K leaves room for more than two: enough to fill a turn at any K.
DRAWS = 3_200
PHOTO = 32

Point = dict[str, Any]


def measure(name: str, size: int, folder: Path) -> Point:
    """Do the work of a series once at one size.

    Args:
        name: of a series in `laws.SERIES`, or `"floor"` for nothing at all.
        size: how much of it.
        folder: what `prepare` left there.

    Returns:
        `seconds`, and `memory_mb`, the peak resident memory of this process; where the model grows
        also its `parameters`.
    """
    axis, _, kind = name.partition("_")
    found: Point
    if name == "floor":
        found = {"seconds": 0.0}
    elif axis == "data":
        found = _resident(size) if kind == "resident" else _streamed(size, folder)
    elif axis == "latent":
        found = _latent(kind, size)
    elif axis == "samples":
        found = _evidence(size)
    elif kind == "supervisor":
        found = _supervisor(size)
    else:
        found = _report(kind.removeprefix("report_"), size)
    return found | {"memory_mb": peak_memory_mb()}


def prepare(name: str, size: int, folder: Path) -> None:
    """Make the files that a point of a series in `laws.WITH_FILES` reads, which must not count as its own work."""
    if name == "data_streamed":
        _photos(_archive(folder, size), size)
    else:
        raise ValueError(f"{name} reads no files")


def _timed(call: Callable[[], object]) -> float:
    """Seconds per call, after two that do not count."""
    call()
    call()
    calls, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < LEAST_S:
        call()
        calls += 1
    return passed / calls


def _model(spec: DataSpec, **overrides: Any) -> VAE:
    return registry.seeded("vanilla", spec, 0, **overrides)


def _stepper(model: VAE) -> Callable[[torch.Tensor], object]:
    model.train()
    step = stepper_for(model, Budget())
    return lambda x: step(x, 0.0)


def _pass_s(loaded: Data) -> float:
    """Seconds for one pass of training over the data, fetching included, after a step that does not count."""
    train = _stepper(_model(loaded.spec))
    train(next(loaded.eval_batches("valid", BATCH))[0])
    order, noise = seeds.generator(0, "order"), seeds.generator(0, "binarise")
    start = time.perf_counter()
    for x in loaded.train_batches(BATCH, order=order, noise=noise):
        train(x)
    return time.perf_counter() - start


def _resident(size: int) -> Point:
    return {"seconds": _pass_s(data.load("mnist", train_size=size))}


def _archive(folder: Path, size: int) -> Path:
    return folder / f"photos_{size}.zip"


def _photos(path: Path, size: int) -> None:
    """An archive of as many colour photographs, all of the same noise."""
    pixels = np.random.default_rng(0).integers(0, 256, (PHOTO, PHOTO, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    with zipfile.ZipFile(path, "w") as archive:
        for place in range(size):
            archive.writestr(_photo(place), buffer.getvalue())


def _photo(place: int) -> str:
    return f"photos/{place:06}.jpg"


def _streamed(size: int, folder: Path) -> Point:
    held_out = BATCH
    names = [_photo(place) for place in range(size)]
    parts = {split: names if split == "train" else names[:held_out] for split in SPLITS}
    raw = Raw(
        {split: Photos(_archive(folder, size), part, crop=PHOTO, size=PHOTO) for split, part in parts.items()},
        {split: np.zeros(len(part), dtype=np.int64) for split, part in parts.items()},
        levels=255,
        checksum="",
    )
    spec = DataSpec((3, PHOTO, PHOTO), "unit", size)
    return {"seconds": _pass_s(Data("photos", "none", {}, spec, raw, None, "cpu"))}


def _binary(count: int) -> torch.Tensor:
    """`[count, 1, 28, 28]`, zeros and ones."""
    return torch.rand(count, 1, 28, 28, generator=torch.Generator().manual_seed(0)).round()


def _latent(posterior: str, size: int) -> Point:
    model = _model(DataSpec((1, 28, 28), "binary", 50_000), posterior=posterior, latent=size)
    train, x = _stepper(model), _binary(BATCH)
    return {"seconds": _timed(lambda: train(x)), "parameters": parameter_count(model)}


def _evidence(size: int) -> Point:
    images = max(2, DRAWS // size)
    model, x = _model(DataSpec((1, 28, 28), "binary", 50_000)), _binary(images)
    importance_weights(model, x, 2)
    start, calls = time.perf_counter(), 0
    while (passed := time.perf_counter() - start) < LEAST_S:
        importance_weights(model, x, size)
        calls += 1
    return {"seconds": passed / calls / images}


def _records(kind: str, size: int) -> list[record.Record]:
    """Records of as many cells, made up: ten variants with more seeds, more variants, or ten variants on more data."""
    rows = size if kind == "rows" else 10
    suite = Suite(
        name="growth",
        description="",
        variants=tuple(Variant("vanilla", {"latent": row + 2}) for row in range(rows)),
        datasets=tuple(DataChoice(f"data{i:03}", "dynamic") for i in range(size // 10 if kind == "data" else 1)),
        seeds=size // 10 if kind == "seeds" else 1,
        budget=Budget(),
        measure=Measure(),
    )
    found = []
    for cell in suite.cells("cpu"):
        elbo = -100 - math.sin(cell["seed"]) / 4 - math.log(cell["overrides"]["latent"]) / 4
        kl = 25 + math.cos(cell["seed"]) / 4
        metrics = {
            "elbo_nats": elbo,
            "recon_nats": elbo + kl,
            "kl_nats": kl,
            "nll_is500_nats": 4.5 - elbo,
            "mse_per_pixel": 0.02,
            "parameters": 600_000,
        }
        curve = [{"epoch": e, "train_loss": -elbo, "valid_elbo_nats": elbo - 9 / e} for e in range(1, 11)]
        model = record.Model(support="binary", has_bound=True, posterior="diagonal", network="mlp", prior="normal")
        found.append(
            replace(
                record.new("quality", cell, {}, "ok"),
                model=model,
                metrics=metrics,
                curve=curve,
                timing={"train_s": 60.0},
            )
        )
    return found


def _report(kind: str, size: int) -> Point:
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        for made in _records(kind, size):
            store.write(out, made)
        start = time.perf_counter()
        report.write(out)
        return {"seconds": time.perf_counter() - start}


def _supervisor(size: int) -> Point:
    """Seconds beyond what the cells say that they trained and measured; one cell more is run first, untimed."""
    suite = Suite(
        name="growth",
        description="",
        variants=(Variant("vanilla", {"latent": 2, "hidden": [16]}),),
        datasets=(DataChoice("linear_gaussian", "none", {"d": 4, "k": 2, "n": 160}),),
        seeds=size + 1,
        budget=Budget(epochs=1),
        measure=Measure(elbo_samples=1, nll_samples=0),
        throughput=Clock(blocks=0),
    )
    first, *others = suite.cells("cpu")
    own: list[float] = []

    def note(found: record.Record, _: float) -> None:
        if found.status != "ok":
            raise RuntimeError(f"a cell of the supervisor's point failed: {found.reason}")
        own.append(sum(seconds or 0.0 for seconds in found.timing.values()))

    with tempfile.TemporaryDirectory() as name:

        def run(cells: list[record.Cell]) -> float:
            own.clear()
            start = time.perf_counter()
            local.run_cells(
                "quality",
                cells,
                Path(name),
                jobs=1,
                timeout_s=600,
                provenance={},
                on_epoch=lambda _: None,
                on_measured=lambda *_: None,
                on_record=note,
            )
            return time.perf_counter() - start - sum(own)

        run([first])
        return {"seconds": run(others)}
