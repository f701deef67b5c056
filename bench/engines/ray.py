"""Runs the same cells on a Ray cluster. A worker of Ray supervises one cell, as `bench.engines.local` does here, and
hands back what happens. Only the driver writes results, and no file system is shared. To start quickly, a worker
imports no torch; the cell's own process does."""

import contextlib
import functools
import hashlib
import json
import logging
import math
import os
import platform
import signal
import tempfile
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import data
from bench.disk.files import write_bytes
from bench.engines import events, local
from bench.engines.events import Done, Epochs, Event, Measured, Note
from bench.errors import BenchError, DataError, MachineError, UsageError
from bench.records import provenance as origin
from bench.records import record, schema, sources
from bench.records.record import Cell, Record

# How often a cell is begun anew whose worker or node was lost. What a cell does to itself is its result, and final.
RETRIES = 3
# Seconds between two messages about a measurement, and within which a node has to say what is installed there.
TELL_S, ANSWER_S = 1.0, 120.0

# What a worker sends: an event as JSON, a record's artefacts, and the files that the cell keeps in `weights/`.
Message = tuple[str, bytes | None, dict[str, bytes]]


@contextlib.contextmanager
def connect(address: str | None = None, gpus: float | None = None) -> Iterator["Cluster"]:
    """A connection to a running Ray cluster; without an address, and without $RAY_ADDRESS, to one that is started here
    and ended afterwards.

    Args:
        address: HOST:PORT of the cluster, or `auto` on one of its nodes.
        gpus: see `Cluster`.

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
    own: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except Exception as error:
        where = "this machine" if address == "local" else address
        raise MachineError(f"no Ray cluster at {where}: {_one_line(error)}") from error
    try:
        signal.signal(signal.SIGTERM, handler)  # of which Ray takes hold
        # Of a lost node Ray prints pages, to standard output; a line is said here.
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
            yield Cluster(ray, gpus)
    finally:
        ray.shutdown()


class Cluster:
    """A Ray cluster to which this process is connected.

    Args:
        ray: the module.
        gpus: of a GPU, what each cell asks for: whole ones, or a fraction, so that cells share one; by default 1 for
            cells on an accelerator and 0 for others.
    """

    def __init__(self, ray: Any, gpus: float | None = None) -> None:
        self.ray, self.gpus = ray, gpus

    def resolve(self, device: str) -> str:
        """The device type of cells: `auto` is `cuda` where a node has a GPU, else the CPU. UsageError if unknown."""
        from bench import device as devices

        if device not in devices.DEVICES:
            raise UsageError(f"unknown device {device!r}: choose one of {', '.join(devices.DEVICES)}")
        if device != "auto":
            return device
        return "cuda" if any(node.get("GPU", 0) for _, node in self._nodes()) else "cpu"

    def run_cells(
        self,
        kind: str,
        cells: list[Cell],
        out: Path,
        *,
        jobs: int | None,
        timeout_s: float,
        provenance: dict[str, Any],
        again: bool = False,
        on_epoch: Callable[[int], None],
        on_measured: Callable[[Cell, str, int, int], None],
        on_record: Callable[[Record, float], None],
        on_note: Callable[[Cell, str], None] = lambda *_: None,
    ) -> None:
        """As `bench.engines.local.run_cells`, with at most `jobs` cells at a time on the whole cluster.

        Args:
            again: whatever nodes keep of earlier runs is not used.

        Raises:
            MachineError: no node has what a cell asks for, or none has it any more, once the others have ended; a node
                has other code or libraries than this machine; or a record cannot be written.
            DataError: a user's file cannot be read.
            KeyboardInterrupt: after the cells in flight have been ended; what was written stays.
        """
        if not cells:
            return
        self._require(cells)
        self._check_nodes(sorted({cell["variant"] for cell in cells}), provenance)
        copies = {
            name: self.ray.put(_read(name)) for name in {cell["dataset"] for cell in cells} if data.is_user_file(name)
        }
        tell = functools.partial(
            events.deliver, out=out, on_epoch=on_epoch, on_measured=on_measured, on_record=on_record, on_note=on_note
        )
        scratch = hashlib.sha256(f"{platform.node()} {out.resolve()}".encode()).hexdigest()[:16]
        run = uuid.uuid4().hex if again else None
        waiting, running = [_Sent(kind, cell) for cell in reversed(cells)], dict[Any, _Sent]()
        aside: list[_Sent] = []  # those whose only nodes are lost: the others do not wait for them
        try:
            while waiting or running or aside:
                nodes = self._nodes()
                while waiting and len(running) < (jobs or math.inf):
                    room = self._room(waiting[-1].cell, nodes)
                    if 0 < room <= len(running):
                        break
                    sent = waiting.pop()
                    if not room:
                        aside.append(sent)
                        continue
                    copy = copies.get(sent.cell["dataset"])
                    running[self._send(sent, out, scratch, run, timeout_s, provenance, copy)] = sent
                if not running:
                    self._require(sent.cell for sent in aside)
                    waiting, aside = aside, waiting  # a node has joined
                    continue
                ready = self._ready(list(running))
                if not ready:
                    for stream, sent in list(running.items()):
                        if not self._room(sent.cell, nodes):  # it would wait for ever
                            self.ray.cancel(stream, force=True)
                            del running[stream]
                            aside.append(sent.anew())
                for stream in ready:
                    sent = running[stream]
                    event, files = self._receive(stream, sent, provenance)
                    if event is None or isinstance(event, Done):
                        del running[stream]
                    if event is None:
                        waiting.append(sent.anew())
                        on_note(sent.cell, "its worker was lost, and it is begun anew")
                        continue
                    for name, content in files.items():
                        write_bytes(out / "weights" / Path(name).name, content)
                    tell(event)
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
            found = self.ray.get(asked, timeout=ANSWER_S)
        except self.ray.exceptions.RayError as error:
            raise MachineError(
                f"a node of the cluster cannot run vaebench ({_one_line(error)}): install it on every node"
            ) from error
        for theirs in found:
            if line := _unlike(_identity(variants, provenance), theirs):
                raise MachineError(f"{line}: install the same on every node")

    def _send(
        self,
        sent: "_Sent",
        out: Path,
        scratch: str,
        run: str | None,
        timeout_s: float,
        provenance: dict[str, Any],
        copy: Any,
    ) -> Any:
        cell = sent.cell
        task = self.ray.remote(
            num_cpus=cell["threads"], num_gpus=self._share(cell), max_calls=1, max_retries=0, num_returns="streaming"
        )(_work)
        stems = _stems(sent.kind, cell)
        expected = _identity([cell["variant"]], provenance)
        del expected["commit"]  # one made meanwhile is no other code; the sums tell
        request = json.dumps([sent.kind, cell, provenance, timeout_s, scratch, run, stems, expected])
        files = {path.name: path.read_bytes() for path in _kept(out, stems)}
        return task.remote(request, files, copy)

    def _ready(self, streams: list[Any]) -> list[Any]:
        """Those that have a message, once there is one, or after a second."""
        ready, _ = self.ray.wait(streams, num_returns=1, timeout=1.0)
        if ready:
            ready, _ = self.ray.wait(streams, num_returns=len(streams), timeout=0)
        return list(ready)

    def _receive(self, stream: Any, sent: "_Sent", provenance: dict[str, Any]) -> tuple[Event | None, dict[str, bytes]]:
        """The next event and files to keep; None if the worker was lost and the cell is to be begun anew."""
        try:
            text, artefacts, files = self.ray.get(next(stream))
        except self.ray.exceptions.RayTaskError as error:
            return sent.failed(f"its worker failed: {_one_line(error.cause)}", provenance), {}
        except (StopIteration, self.ray.exceptions.RayError) as error:
            if sent.lost < RETRIES:
                return None, {}
            reason = f"its worker was lost {RETRIES + 1} times ({type(error).__name__})"
            return sent.failed(reason, provenance), {}
        what, *facts = json.loads(text)
        if what == "failed":
            return sent.failed(facts[0], provenance), {}
        if what == "epochs":
            return Epochs(sent.cell, sent.tell(facts[0])), {}
        if what == "measured":
            return Measured(sent.cell, *facts), {}
        if what == "note":
            return Note(sent.cell, facts[0]), {}
        return Done(schema.of(facts[0]), artefacts, facts[1], sent.tell(facts[2])), files


@dataclass
class _Sent:
    """A cell at a worker: how many workers it has lost, and how many of its epochs are told here and by this worker."""

    kind: str
    cell: Cell
    lost: int = 0
    told: int = 0
    epochs: int = 0

    def tell(self, more: int) -> int:
        """Of so many further epochs, those that no lost worker has told of before."""
        self.epochs += more
        new = max(0, self.epochs - self.told)
        self.told += new
        return new

    def anew(self) -> "_Sent":
        return _Sent(self.kind, self.cell, self.lost + 1, self.told)

    def failed(self, reason: str, provenance: dict[str, Any]) -> Done:
        made = provenance | sources.sums(self.cell["variant"])
        return Done(record.new(self.kind, self.cell, made, reason=reason), None, 0.0, 0)


def _work(request: str, files: dict[str, bytes], copy: bytes | None) -> Generator[Message]:
    """On a worker: supervise one cell and yield what happens.

    What a cell keeps lies in a folder of the node's temporary files, so that the next worker on this node goes on with
    it; `files` is what the driver has kept, `copy` the bytes of a user's file. A `run` with `--again` has a name, and
    goes on with its own alone.
    """
    kind, cell, provenance, timeout_s, folder, run, stems, expected = json.loads(request)
    here = origin.provenance()
    if line := _unlike(expected, _identity([cell["variant"]], here)):
        yield json.dumps(["failed", f"{line}, unlike when the run began: run the same command again"]), None, {}
        return
    scratch = Path(tempfile.gettempdir()) / f"vaebench-{os.getuid()}" / folder
    provenance |= {key: here[key] for key in ("platform", "cpu_count")}
    begun = scratch / f"{record.record_id(kind, cell)}.again"  # by which run
    copies: dict[str, Path] = {}
    try:
        if run and not (begun.exists() and begun.read_text() == run):
            for path in _kept(scratch, stems):
                path.unlink(missing_ok=True)
            write_bytes(begun, run.encode())
        for name, content in files.items():
            if not (scratch / "weights" / name).exists():
                write_bytes(scratch / "weights" / name, content)
        if copy is not None:
            copies[cell["dataset"]] = scratch / f"{record.record_id(kind, cell)}.npz"
            write_bytes(copies[cell["dataset"]], copy)
        last = -math.inf
        for event in local.events(
            kind, [cell], scratch, jobs=1, timeout_s=timeout_s, provenance=provenance, files=copies
        ):
            match event:
                case Epochs(_, more):
                    yield json.dumps(["epochs", more]), None, {}
                case Measured():
                    if time.monotonic() - last > TELL_S:
                        last = time.monotonic()
                        yield json.dumps(["measured", *event[1:]]), None, {}
                case Note(_, line):
                    yield json.dumps(["note", line]), None, {}
                case Done(result, artefacts, seconds, untold):
                    kept = _kept(scratch, stems)
                    back = {path.name: path.read_bytes() for path in kept}
                    yield json.dumps(["record", record.plain(result), seconds, untold]), artefacts, back
                    if result.status == "ok":
                        for path in (*kept, begun):
                            path.unlink(missing_ok=True)
    except BenchError as error:
        yield json.dumps(["failed", f"its worker failed: {error}"]), None, {}
    finally:
        for path in copies.values():
            path.unlink(missing_ok=True)
        for path in (scratch / "weights", scratch):
            with contextlib.suppress(OSError):  # something is in it
                path.rmdir()


def _stems(kind: str, cell: Cell) -> list[str]:
    """How the names of the files begin that a cell keeps: its checkpoint, weights, and notes of its measurement."""
    if kind != "quality":
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


def _read(name: str) -> bytes:
    try:
        return Path(name).expanduser().read_bytes()
    except OSError as error:
        raise DataError(f"{name}: cannot read it ({error.strerror})") from error


def _one_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return " ".join((lines[-1] if lines else type(error).__name__).split())[:200]
