"""One point of the growth benchmark: do the work of a series at one size, and say what it took. Runs in a process of
its own, whose peak memory is then that of this work alone."""

import io
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
from PIL import Image

import bench.pages.figures  # noqa: F401 - see above
from bench import data, seeds
from bench.cells.clock import peak_memory_mb
from bench.cells.events import Done
from bench.data.batches import Data
from bench.data.entry import SPLITS
from bench.data.readers import Photos, Raw
from bench.engines import Job
from bench.engines.local import Local
from bench.judge.bounds import parameter_count
from bench.judge.evidence import importance_weights
from bench.pages import report
from bench.records import record, store
from bench.settings import Budget, Clock, Measure
from bench.suites.suite import DataChoice, Suite, Variant
from bench.train.steps import stepper_for
from tests.performance.laws import FLOOR, Point
from tests.performance.scale import made_up
from variants import registry
from variants.core import VAE
from variants.data_spec import DataSpec

BATCH = 128
# Timed calls of a short work last at least so long together.
LEAST_S = 0.5
# Importance samples of all images together, where K leaves room for more than two: enough to fill a turn at any K.
DRAWS = 3_200
PHOTO = 32


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
    if name == FLOOR:
        point = {"seconds": 0.0}
    elif axis == "data":
        point = _resident(size) if kind == "resident" else _streamed(size, folder)
    elif axis == "latent":
        point = _latent(kind, size)
    elif axis == "samples":
        point = _evidence(size)
    elif kind == "supervisor":
        point = _supervisor(size)
    else:
        point = _report(kind.removeprefix("report_"), size)
    return point | {"memory_mb": peak_memory_mb()}


def prepare(name: str, size: int, folder: Path) -> None:
    """Make the files that a point of a series in `laws.WITH_FILES` reads, which must not count as its own work."""
    assert name == "data_streamed", f"{name} reads no files"
    _photos(_archive(folder, size), size)


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


def _suite(rows: int, datasets: int, seeds: int) -> Suite:
    """As many variants on as many data sets, by name alone."""
    return Suite(
        name="growth",
        description="",
        variants=tuple(Variant("vanilla", {"latent": row + 2}) for row in range(rows)),
        datasets=tuple(DataChoice(f"data{i:03}", "dynamic") for i in range(datasets)),
        seeds=seeds,
    )


def _report(kind: str, size: int) -> Point:
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        chosen = {
            "seeds": _suite(10, 1, size // 10),
            "rows": _suite(size, 1, 1),
            "data": _suite(10, size // 10, 1),
        }[kind]
        for made in made_up(chosen.cells("cpu")):
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
    with tempfile.TemporaryDirectory() as name:

        def run(cells: list[record.Cell]) -> float:
            """Seconds beside those of training and measuring."""
            start, work = time.perf_counter(), 0.0
            for event in Local().events(Job("quality", cells, Path(name), {})):
                if isinstance(event, Done):
                    if event.record.status != "ok":
                        raise RuntimeError(f"a cell of the supervisor's point failed: {event.record.reason}")
                    store.write(Path(name), event.record, event.artefacts)
                    work += sum(seconds or 0.0 for seconds in event.record.timing.values())
            return time.perf_counter() - start - work

        run([first])
        return {"seconds": run(others)}
