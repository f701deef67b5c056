"""What an accelerator does with this suite, in at most nine minutes: `make bench-device` on a machine that has one.

`python -m tests.performance.device` runs the tests of devices, the suite quick, and times the training of every variant
there and on the CPU. Each part is a process with a time of its own; the same command goes on where a part was ended."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from bench.disk.files import write_bytes
from bench.disk.lock import lock
from bench.errors import MachineError, UsageError
from bench.pages.page import REFERENCE
from bench.records.provenance import provenance
from tests.performance import Spread, command, device_page, run_command

POINTS, PARTS_FILE = "points.jsonl", "parts.json"
# Seconds that each part may take: together less than nine minutes.
PARTS = {"tests": 110, "quick": 170, "speed": 190, "compile": 60}
BATCHES = (128, 4096)
# What compiling is tried on: an MLP, and convolutions.
COMPILED = ("vanilla", "conv")
HOWS = ("fp32", "fp32+compile", "fp32, CUDA graphs", "bf16", "bf16+compile")
# A step longer than this is timed once: others wait.
SLOW_S = 0.5
# A part that was told to end has so long for it.
GRACE_S = 10
SAME = ("commit", "dirty", "device", "processor", "torch")
Point = dict[str, Any]

app = command("device", "What an accelerator does with this suite.")


def here() -> dict[str, Any]:
    """What this process runs on. MachineError without an accelerator."""
    import torch

    from bench import device

    kind = device.accelerator()
    if kind is None:
        raise MachineError("there is no accelerator here, and nothing is said of one that was not seen")
    source = provenance()
    machine = {"device": device.describe(kind), "processor": device.describe("cpu"), "torch": str(torch.__version__)}
    return {"commit": source["commit"], "dirty": source["dirty"], "kind": kind, "cores": device.cores()} | machine


def read(out: Path, source: Point) -> list[Point]:
    """The points in a results folder. UsageError if they are of other code or another machine."""
    path = out / POINTS
    try:
        points = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        other = [key for point in points for key in SAME if point["source"][key] != source[key]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} does not hold points of this benchmark: choose another folder with --out") from error
    if other:
        raise UsageError(f"{out} holds points of another {other[0]}: choose another folder with --out")
    return points


def wanted(part: str, variants: Sequence[str], kind: str) -> Iterator[Point]:
    """What a part times, a row of the table after the other."""
    names, devices, hows = list(variants), [kind, "cpu"], list(HOWS[:1])
    if part == "compile":
        names, devices, hows = [name for name in variants if name in COMPILED], [kind], list(HOWS)
    for name in names:
        for how in hows:
            for device in devices:
                for batch in BATCHES:
                    yield {"part": part, "variant": name, "device": device, "batch": batch, "how": how}


def work(part: str, out: Path, variants: Sequence[str]) -> None:
    """Time what is missing of a part in this process; each point is kept as soon as it is there."""
    import torch

    from bench.cells import clock
    from bench.settings import Clock
    from bench.text import said

    source = here()
    points = read(out, source)
    done = {tuple(point[key] for key in ("part", "variant", "device", "batch", "how")) for point in points}
    missing = [point for point in wanted(part, variants, source["kind"]) if tuple(point.values()) not in done]
    torch.set_num_threads(source["cores"])
    short = Clock(blocks=3, block_s=0.05)
    peaks = {kind: float(clock.matrix_peak(short, kind).median or 0) for kind in {each["device"] for each in missing}}
    for point in missing:
        try:
            figures = _timed(point, short, peaks[point["device"]])
        except Exception as error:  # one variant's trouble, which the table says
            figures = {"error": said(error)}
        points.append(point | figures | {"source": source})
        write_bytes(out / POINTS, "".join(json.dumps(each) + "\n" for each in points).encode())
        print(*point.values(), figures, flush=True)


def _timed(point: Point, short: Any, peak: float) -> Point:
    """Examples a second of training, the peak memory, and the share of the rate of matrix products."""
    import torch

    from bench.cells import clock
    from bench.device import synchronise
    from bench.settings import Budget
    from bench.train.steps import stepper_for

    device, batch, how = point["device"], point["batch"], point["how"]
    with contextlib.suppress(AttributeError, RuntimeError):  # not every accelerator's allocator counts
        torch.accelerator.reset_peak_memory_stats()
    model, x = _model(point["variant"], batch, device)
    flops = clock.training_flops(model, x)
    graphs = "graphs" in how
    step = stepper_for(model, Budget(), precision="fp32" if graphs else how, device=device)
    if graphs:
        step.loss = torch.compile(model.loss, mode="reduce-overhead")

    def call() -> None:
        if graphs:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        step(x, 0.0)

    for _ in range(2):
        start = time.perf_counter()
        call()
        synchronise(device)
        seconds = [time.perf_counter() - start]
    if seconds[0] < SLOW_S:
        seconds = clock.time_blocks(call, short, device)
    rate = Spread.of([batch / each for each in seconds])
    memory = None if device == "cpu" else clock.peak_memory_mb(device)
    mfu = flops / batch * rate.median / 1e9 / peak
    return {"per_s": [rate.median, rate.q1, rate.q3], "peak_memory_mb": memory, "mfu": mfu}


def _model(variant: str, batch: int, device: str) -> tuple[Any, Any]:
    """A fresh model in training, and a batch `[B, 1, 28, 28]` of a kind that it is for, with its classes."""
    import torch

    from bench.judge.bounds import given
    from variants import DataSpec, registry

    binary = DataSpec((1, 28, 28), "binary", 50_000)
    others = {"kind": "levels", "levels": 256}, {"kind": "counts"}, {"classes": 10, "pairs": True}
    for spec in (binary, *(replace(binary, **each) for each in others)):  # type: ignore[arg-type]
        with contextlib.suppress(ValueError):
            model = registry.seeded(variant, spec, 0).to(device).train()
            x = torch.rand(batch, *spec.shape, generator=torch.Generator().manual_seed(0))
            x = (255 * x).round() / 255 if spec.kind == "levels" else x.round()
            return model, given(model, x.to(device), (torch.arange(batch) % 10).to(device))
    raise UsageError(f"{variant} is for none of the data that are tried")


def words_of(part: str, out: Path, variants: Sequence[str]) -> list[str]:
    """The command of a part."""
    python = [sys.executable, "-m"]
    if part == "tests":
        return [*python, "pytest", "-q", "-p", "no:cacheprovider", "tests/device/test_device.py"]
    if part == "quick":
        return [*python, "bench", "run", "quick", "--out", str(out / "quick"), "--jobs", "4"]
    return [*python, "tests.performance.device", "--out", str(out), "--work", part, "--variants", *variants]


def ran(words: Sequence[str], limit_s: float) -> tuple[int | None, float, str]:
    """Run a command for so many seconds at most.

    Returns:
        Its exit code, None if it had to be ended; its seconds; its last line.
    """
    began = time.monotonic()
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    code: int | None = None
    try:
        text, _ = process.communicate(timeout=limit_s)
        code = process.returncode
    except subprocess.TimeoutExpired:
        process.terminate()
        try:
            text, _ = process.communicate(timeout=GRACE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            text, _ = process.communicate()
    lines = [line for line in text.splitlines() if line.strip()]
    return code, time.monotonic() - began, lines[-1][:300] if lines else ""


def run(out: Path, parts: Sequence[str], variants: Sequence[str], say: Callable[[str], None]) -> None:
    """Run the parts that have not ended well, and write the page after each."""
    source = here()
    read(out, source)  # before minutes are spent
    path = out / PARTS_FILE
    kept: dict[str, Point] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for part in parts:
        if kept.get(part, {}).get("code") == 0:
            say(f"{part}: finished before")
            continue
        code, seconds, last = ran(words_of(part, out, variants), PARTS[part])
        kept[part] = {"code": code, "seconds": round(seconds, 1), "last": last}
        say(f"{part}: {'not finished' if code is None else f'exit code {code}'} after {seconds:.0f} s: {last}")
        write_bytes(path, (json.dumps(kept, indent=1) + "\n").encode())
        device_page.write(out, read(out, source), kept, source)


@app.default
def main_command(
    *,
    out: Annotated[Path, Parameter(help="Results folder.")] = REFERENCE / "device",
    parts: Annotated[
        tuple[Literal["tests", "quick", "speed", "compile"], ...],
        Parameter(consume_multiple=True, negative="", help="What to run, by default all."),
    ] = ("tests", "quick", "speed", "compile"),
    variants: Annotated[
        tuple[str, ...], Parameter(consume_multiple=True, negative="", help="What to time, by default every variant.")
    ] = (),
    work_on: Annotated[Literal["speed", "compile"] | None, Parameter(name="--work", show=False)] = None,
) -> None:
    """Run what is missing, and write the page."""
    from variants import names

    chosen = variants or tuple(names())
    if work_on:
        work(work_on, out, chosen)
        return
    with lock(out):
        run(out, parts, chosen, lambda line: print(line, file=sys.stderr, flush=True))
    print(out / "README.md")


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; returns an exit code."""
    return run_command(app, words, "what is finished is kept, and the same command goes on")


if __name__ == "__main__":
    sys.exit(main())
