"""One cell of a suite -> one Record: JSON in, JSON out. It knows no suite, no engine and no other cell."""

import glob
import hashlib
import json
import time
import traceback
from pathlib import Path
from typing import Any

import msgspec
import torch

from bench import device as devices
from bench import judge, seeds
from bench.cells import clock, prepare, weights
from bench.cells.events import Measured, Note, Tell
from bench.cells.pictures import artefacts_of
from bench.disk.files import is_ours
from bench.errors import BenchError
from bench.judge.bounds import given
from bench.records import record, sources
from bench.records.record import Cell, Record
from bench.resume.notebook import Notebook
from bench.settings import LARGEST, Budget, Clock, Measure
from bench.text import said
from bench.train.diverged import Diverged
from variants import registry


def run_cell(
    kind: str,
    cell: Cell,
    provenance: dict[str, Any],
    tell: Tell = lambda _: None,
    out: Path | None = None,
) -> tuple[Record, bytes | None]:
    """Run one cell in this process. Whatever the variant does short of ending the process becomes the record's status.

    Args:
        kind: `"quality"` (train and measure), `"trial"` (the same on the validation split, in place of the test split),
            `"throughput"`, or `"oracle"` (check the judge).
        cell: its configuration, see `bench.suites.suite.Suite`.
        provenance: where the code comes from, kept in the record.
        tell: given what happens, short of `Done`.
        out: results folder; trained weights are kept there, and found there if the cell was trained before, and so is
            what a stopped cell had trained and measured.

    Returns:
        The record, and the artefacts (an npz archive of pictures and latent points) of a suite's first seed.
    """
    result = record.new(kind, cell, provenance)
    result.provenance.allocator = devices.keep_memory()
    artefacts = None
    try:
        if kind == "throughput":
            _throughput(cell, result, tell)
        elif kind == "oracle":
            from bench.oracle import checks

            sources.check(cell["variant"], provenance)
            checks.run(cell, result)
        else:
            artefacts = _quality(cell, result, tell, out)
        result.status = "ok"
    except Diverged as error:
        result.status, result.reason = "diverged", str(error)
    except (BenchError, registry.RegistryError) as error:
        result.status, result.reason = "error", str(error)
    except (Exception, SystemExit) as error:
        result.status, result.reason = "error", said(error)
        result.traceback = traceback.format_exc()
    return result, artefacts


def _quality(cell: Cell, result: Record, tell: Tell, out: Path | None) -> bytes | None:
    seed, how = cell["seed"], Measure(**cell["measure"])
    budget = Budget(**cell["budget"])
    model, loaded = prepare.build(cell, result, seed, budget.train_size)
    prepare.check_batches(model, loaded.splits["train"], budget.batch_size)
    sources.check(cell["variant"], msgspec.to_builtins(result.provenance))
    kept = weights.path(out, cell) if out else None
    training = prepare.trained(model, loaded, cell, result, tell, kept)
    if kept is not None and kept.is_file():
        result.weights = kept.name
    result.curve = training["curve"]
    result.provenance.trained = msgspec.convert(training["provenance"], record.Origin)
    started = time.perf_counter()
    notebook = Notebook(_notes(kept, result, tell), lambda *progress: tell(Measured(cell, *progress)))
    judged = loaded.without_test() if result.kind == record.TRIAL else loaded
    judgement = judge.evaluate(model, judged, how, notebook)
    result.timing = {"train_s": training["train_s"], "measure_s": time.perf_counter() - started}
    result.model.kl_method = judgement.kl_method
    result.provenance.features_sha256 = judgement.features_sha256
    notebook.close()
    broken = [name for name, value in judgement.metrics.items() if value is not None and not abs(value) <= LARGEST]
    if broken:
        raise Diverged(f"not finite at evaluation: {', '.join(broken)}")
    if result.kind == record.TRIAL:
        result.metrics = {f"valid_{name}": value for name, value in judgement.metrics.items()}
        return None
    result.metrics, result.errors, result.latent = judgement.metrics, judgement.errors, judgement.latent
    if budget.grad_skip is not None:
        result.metrics["skipped_steps"] = sum(row["skipped_steps"] or 0 for row in result.curve)
    with torch.no_grad(), seeds.stream(seed, "pictures", cell["device"]):
        x, y = next(loaded.eval_batches("test", 1, limit=1))
        result.model.latent = model.infer(given(model, x, y)).event_shape.numel()
        try:
            return artefacts_of(model, loaded) if seed == 0 else None
        except Exception as error:
            # Pictures decorate a result, and must not cost it: a posterior may well have no variance in closed form.
            result.no_pictures = said(error)
            return None


def _notes(kept: Path | None, result: Record, tell: Tell) -> Path | None:
    """Where a stopped measurement is kept. It is one of these weights by this code and these libraries: others are no
    use, and go."""
    if kept is None or not is_ours(kept):
        return None
    made = result.provenance
    judge = json.dumps([made.code_sha256, made.versions, made.cpu_kernels, made.matmul_precision], sort_keys=True)
    digest = hashlib.sha256(kept.read_bytes() + judge.encode()).hexdigest()[:10]
    notes = kept.with_name(f"{result.id}_{digest}.notes.json")
    for other in kept.parent.glob(f"{glob.escape(result.id)}_*.notes.json"):
        if other != notes:
            line = "measuring starts anew, for what was measured is of other weights, code, libraries or kernels"
            tell(Note(result.cell, line))
            other.unlink(missing_ok=True)
    return notes


def _throughput(cell: Cell, result: Record, tell: Tell) -> None:
    model, loaded = prepare.build(cell, result, 0, None)
    sources.check(cell["variant"], msgspec.to_builtins(result.provenance))
    how = Clock(cell["blocks"], cell["block_s"], cell["batch_size"])
    wall, cpu = time.perf_counter(), time.thread_time()
    with seeds.stream(0, "throughput", cell["device"]):
        result.metrics = clock.throughput(
            model, loaded, how, seed=0, device=cell["device"], precision=cell["precision"]
        )
    if apart := record.disturbed(result):
        tell(
            Note(cell, f"no figure for {', '.join(apart)}, whose blocks did not agree: repeat when the machine is idle")
        )
    if cell["device"] == "cpu":
        # This thread never waits for anything but the processor.
        share = (time.thread_time() - cpu) / (time.perf_counter() - wall)
        result.provenance.processor_share = share
        if share < record.BUSY:
            line = f"this processor had other work: the speed is that of {share:.0%} of a core; repeat when it is idle"
            tell(Note(cell, line))
