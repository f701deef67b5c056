"""Runs the same cells on a Ray cluster. A worker of Ray supervises one cell, as `bench.engines.local` does here, and
hands back what happens. Only the driver writes results, and no file system is shared. To start quickly, a worker
imports no torch; the cell's own process does."""

import contextlib
import hashlib
import logging
import math
import os
import platform
import signal
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import data
from bench.cells.events import Done, Event, Measured, Note, decode, encode, failed
from bench.disk.files import read_bytes, write_bytes
from bench.engines import Engine, Job
from bench.engines.local import Local
from bench.errors import BenchError, MachineError, UsageError
from bench.records import provenance as origin
from bench.records import record, sources
from bench.records.record import Cell

# A cell whose worker or node was lost is begun anew this many times. A cell's own failure is its result, and final.
RETRIES = 3
# Seconds between two messages about a measurement, and seconds that a node has to say what is installed there.
TELL_S, ANSWER_S = 1.0, 120.0

# A worker sends an event, and the files that the cell keeps in `weights/`.
Message = tuple[bytes, dict[str, bytes]]


@contextlib.contextmanager
def connect(address: str | None = None, gpus: float | None = None) -> Iterator["Ray"]:
    """A connection to a running Ray cluster; without an address, and without $RAY_ADDRESS, to one that is started here
    and ended afterwards.

    Args:
        address: HOST:PORT of the cluster, or `auto` on one of its nodes.
        gpus: see `Ray`.

    Raises:
        UsageError: an address or a share of a GPU that cannot be.
        MachineError: Ray is not installed, or no cluster answers.
    """
    if gpus is not None and not (0 < gpus < 1 or (gpus >= 1 and float(gpus).is_integer())):
        raise UsageError(f"--gpus must be a fraction of 1 or a whole number, got {gpus}")
    # Without one Ray would join whatever cluster it finds running on this machine.
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    if "://" in address:
        raise UsageError(f"the address {address} is a remote client's: run on a node of the cluster, --address auto")
    try:
        import ray
    except ImportError:
        raise MachineError("--engine ray needs Ray: pip install 'vaebench[ray]'") from None
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    started: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **started)
    except Exception as error:
        where = "this machine" if address == "local" else address
        raise MachineError(f"no Ray cluster at {where}: {_one_line(error)}") from error
    try:
        signal.signal(signal.SIGTERM, handler)  # Ray has set its own
        # Ray prints pages about a lost node to standard output; this engine says one line.
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
            yield Ray(ray, gpus)
    finally:
        ray.shutdown()


class Ray(Engine):
    """A Ray cluster to which this process is connected.

    Args:
        ray: the module.
        gpus: of a GPU, what each cell asks for: whole ones, or a fraction, so that cells share one; by default 1 for
            cells on an accelerator and 0 for others.
    """

    measures_speed = False

    def __init__(self, ray: Any, gpus: float | None = None) -> None:
        self.ray, self.gpus = ray, gpus

    def device(self, asked: str) -> str:
        """The device type of cells: `auto` is `cuda` where a node has a GPU, else the CPU. UsageError if unknown."""
        from bench import device as devices

        if asked not in devices.DEVICES:
            raise UsageError(f"unknown device {asked!r}: choose one of {', '.join(devices.DEVICES)}")
        if asked != "auto":
            return asked
        return "cuda" if any(node.get("GPU", 0) for _, node in self._nodes()) else "cpu"

    def events(self, job: Job) -> Generator[Event]:
        """Cells wherever there is room on the cluster; those of a lost worker are begun anew.

        Raises:
            MachineError: no node has what a cell asks for, or none has it any more, once the others have ended; or a
                node has other code or libraries than this machine.
            DataError: a user's own data cannot be read.
        """
        if not job.cells:
            return
        self._require(job.cells)
        self._check_nodes(sorted({cell["variant"] for cell in job.cells}), job.provenance)
        files = {cell["dataset"] for cell in job.cells if data.is_user_file(cell["dataset"])}
        copies = {name: self.ray.put(data.file_of(name).read_bytes()) for name in files}
        run = uuid.uuid4().hex if job.again else None
        waiting, running, lost = list(reversed(job.cells)), dict[Any, Cell](), Counter[str]()
        # Cells whose only nodes are lost wait here, and the others do not wait for them.
        waiting_for_node: list[Cell] = []
        try:
            while waiting or running or waiting_for_node:
                nodes = self._nodes()
                while waiting and len(running) < (job.side_by_side or math.inf):
                    room = self._room(waiting[-1], nodes)
                    if 0 < room <= len(running):
                        break
                    cell = waiting.pop()
                    if room:
                        running[self._send(job, cell, run, copies.get(cell["dataset"]))] = cell
                    else:
                        waiting_for_node.append(cell)
                if not running:
                    self._require(waiting_for_node)
                    waiting, waiting_for_node = waiting_for_node, waiting  # a node has joined
                    continue
                ready = self._ready(list(running))
                if not ready:
                    for stream, cell in list(running.items()):
                        if not self._room(cell, nodes):  # it would wait for ever
                            self.ray.cancel(stream, force=True)
                            waiting_for_node.append(running.pop(stream))
                            lost[record.record_id(job.kind, cell)] += 1
                for stream in ready:
                    cell = running[stream]
                    name = record.record_id(job.kind, cell)
                    event = self._receive(stream, job, cell, lost[name] < RETRIES)
                    if event is None or isinstance(event, Done):
                        del running[stream]
                    if event is None:
                        lost[name] += 1
                        waiting.append(cell)
                        event = Note(cell, "its worker was lost, and it is begun anew")
                    yield event
        finally:
            for stream in running:
                self.ray.cancel(stream, force=True)

    def _nodes(self) -> list[tuple[str, dict[str, float]]]:
        """Identifier and resources of each node."""
        return [(node["NodeID"], node["Resources"]) for node in self.ray.nodes() if node["Alive"]]

    def _share(self, cell: Cell) -> float:
        return self.gpus if self.gpus is not None else float(cell["device"] != "cpu")

    def _fits(self, cell: Cell, node: dict[str, float]) -> int:
        """How many of such cells a node has room for."""
        share = self._share(cell)
        by_cpu = int(node.get("CPU", 0) // cell["threads"])
        # A fraction may not be put together from what is left of several GPUs.
        by_gpu = int(node.get("GPU", 0)) * int(1 / share) if 0 < share <= 1 else int(node.get("GPU", 0) // (share or 1))
        return min(by_cpu, by_gpu) if share else by_cpu

    def _room(self, cell: Cell, nodes: list[tuple[str, dict[str, float]]]) -> int:
        return sum(self._fits(cell, node) for _, node in nodes)

    def _require(self, cells: Iterable[Cell]) -> None:
        """MachineError if no node has what one of the cells asks for."""
        nodes = self._nodes()
        most = {what: max((node.get(what, 0) for _, node in nodes), default=0) for what in ("CPU", "GPU")}
        for cell in {(cell["threads"], self._share(cell)): cell for cell in cells}.values():
            if self._room(cell, nodes):
                continue
            needs = f"{cell['threads']} CPU" + (f" and {self._share(cell):g} GPU" if self._share(cell) else "")
            advice = "use --device cpu" if self._share(cell) and not most["GPU"] else "ask for less, or add a node"
            raise MachineError(
                f"no node of the cluster can run a cell, which needs {needs} "
                f"(the most that a node has: {most['CPU']:g} CPU, {most['GPU']:g} GPU): {advice}"
            )

    def _check_nodes(self, variants: Sequence[str], provenance: dict[str, Any]) -> None:
        """MachineError if a node would give other numbers than this machine, or cannot say."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        ask = self.ray.remote(num_cpus=0, max_calls=1, max_retries=0)(_identity)
        asked = [
            ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(variants)
            for node, resources in self._nodes()
            if resources.get("CPU")
        ]
        try:
            answers = self.ray.get(asked, timeout=ANSWER_S)
        except self.ray.exceptions.RayError as error:
            raise MachineError(
                f"a node of the cluster cannot run vaebench ({_one_line(error)}): install it on every node"
            ) from error
        for theirs in answers:
            if line := _unlike(_identity(variants, provenance), theirs):
                raise MachineError(f"{line}: install the same on every node")

    def _send(self, job: Job, cell: Cell, run: str | None, copy: Any) -> Any:
        options = {"num_cpus": cell["threads"], "num_gpus": self._share(cell), "num_returns": "streaming"}
        task = self.ray.remote(max_calls=1, max_retries=0, **options)(_work)
        # The task carries the sums over the code, so that a record of a failed worker has them.
        one = replace(job, cells=[cell], provenance=job.provenance | sources.sums(cell["variant"]))
        sent = _Sent(one, _scratch(job.out), run, _stems(job.kind, cell), _identity([cell["variant"]], job.provenance))
        return task.remote(sent, {path.name: read_bytes(path, math.inf) for path in _kept(job.out, sent.stems)}, copy)

    def _ready(self, streams: list[Any]) -> list[Any]:
        """Those that have a message, once there is one, or after a second."""
        ready, _ = self.ray.wait(streams, num_returns=1, timeout=1.0)
        if ready:
            ready, _ = self.ray.wait(streams, num_returns=len(streams), timeout=0)
        return list(ready)

    def _receive(self, stream: Any, job: Job, cell: Cell, anew: bool) -> Event | None:
        """The next event, with the files to keep written; None if the worker was lost and the cell is to be begun
        `anew`."""
        try:
            content, files = self.ray.get(next(stream))
        except self.ray.exceptions.RayTaskError as error:
            return failed(job.kind, cell, job.provenance, f"its worker failed: {_one_line(error.cause)}")
        except (StopIteration, self.ray.exceptions.RayError) as error:
            line = f"its worker was lost {RETRIES + 1} times ({type(error).__name__})"
            return None if anew else failed(job.kind, cell, job.provenance, line)
        for name, kept in files.items():
            write_bytes(job.out / "weights" / Path(name).name, kept)
        return decode(content)


@dataclass(frozen=True)
class _Sent:
    """What a worker is told.

    Attributes:
        job: of one cell; its folder of results is the driver's.
        folder: the name of the folder in which the node keeps what the cell keeps.
        run: a name of a run with `--again`, which goes on with its own files alone.
        stems: how the names of the files begin that the cell keeps.
        expected: what the node must have installed.
    """

    job: Job
    folder: str
    run: str | None
    stems: list[str]
    expected: dict[str, str | None]


def _work(sent: _Sent, files: dict[str, bytes], copy: bytes | None) -> Generator[Message]:
    """On a worker: supervise one cell and yield what happens.

    What a cell keeps lies in a folder of the node's temporary files, so that the next worker on this node goes on with
    it; `files` is what the driver has kept, `copy` the bytes of a user's file.
    """
    job, (cell,) = sent.job, sent.job.cells
    here = origin.provenance()
    expected = sent.expected | {"commit": None}  # a commit made meanwhile is no other code; the sums tell
    if line := _unlike(expected, _identity([cell["variant"]], here)):
        line += ", unlike when the run began: run the same command again"
        yield encode(failed(job.kind, cell, job.provenance, line)), {}
        return
    scratch = Path(tempfile.gettempdir()) / f"vaebench-{os.getuid()}" / sent.folder
    name = record.record_id(job.kind, cell)
    begun = scratch / f"{name}.again"  # names the run that began it
    copies: dict[str, Path] = {}
    try:
        if sent.run and not (begun.exists() and begun.read_text() == sent.run):
            for path in _kept(scratch, sent.stems):
                path.unlink(missing_ok=True)
            write_bytes(begun, sent.run.encode())
        for file, content in files.items():
            if not (scratch / "weights" / file).exists():
                write_bytes(scratch / "weights" / file, content)
        if copy is not None:
            copies[cell["dataset"]] = scratch / f"{name}.npz"
            write_bytes(copies[cell["dataset"]], copy)
        made = job.provenance | {key: here[key] for key in ("platform", "cpu_count")}
        last = -math.inf
        for event in Local().events(replace(job, out=scratch, files=copies, provenance=made)):
            if isinstance(event, Measured):
                if time.monotonic() - last <= TELL_S:
                    continue
                last = time.monotonic()
            kept = _kept(scratch, sent.stems) if isinstance(event, Done) else []
            yield encode(event), {path.name: read_bytes(path, math.inf) for path in kept}
            if isinstance(event, Done) and event.record.status == "ok":
                for path in (*kept, begun):
                    path.unlink(missing_ok=True)
    except BenchError as error:
        yield encode(failed(job.kind, cell, job.provenance, f"its worker failed: {error}")), {}
    finally:
        for path in copies.values():
            path.unlink(missing_ok=True)
        for path in (scratch / "weights", scratch):
            with contextlib.suppress(OSError):  # a folder with files stays
                path.rmdir()


def _scratch(out: Path) -> str:
    """The name of the folder of a node for a folder of results of this machine."""
    return hashlib.sha256(f"{platform.node()} {out.resolve()}".encode()).hexdigest()[:16]


def _stems(kind: str, cell: Cell) -> list[str]:
    """How the names of the files begin that a cell keeps: its checkpoint, weights, and notes of its measurement."""
    if kind not in record.TRAINED:
        return []
    from bench.cells import weights

    return [f"{weights.path(Path(), cell).stem}.", f"{record.record_id(kind, cell)}_"]


def _kept(out: Path, stems: Sequence[str]) -> list[Path]:
    with contextlib.suppress(FileNotFoundError):  # another worker removes a folder when it is empty
        return [path for path in (out / "weights").iterdir() if path.name.startswith(tuple(stems))]
    return []


def _identity(variants: Sequence[str], made: dict[str, Any] | None = None) -> dict[str, str | None]:
    """What the numbers of these variants depend on, beside the processor, and what a record says of it; `made` is a
    run's provenance, by default that of here and now."""
    made = made or origin.provenance()
    versions: dict[str, str] = made["versions"]
    codes = {f"the code of {variant}": sources.sums(variant)["code_sha256"][:12] for variant in variants}
    return {"node": platform.node(), **versions, **codes, "commit": made["commit"]}


def _unlike(ours: dict[str, str | None], theirs: dict[str, str | None]) -> str | None:
    for key, value in ours.items():
        other = theirs.get(key)
        # Outside a checkout there is no commit; there the sums over the code decide alone.
        if key == "node" or other == value or (key == "commit" and None in (value, other)):
            continue
        return f"node {theirs['node']} has {key} {other} where {ours['node']} has {value}"
    return None


def _one_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return " ".join((lines[-1] if lines else type(error).__name__).split())[:200]
