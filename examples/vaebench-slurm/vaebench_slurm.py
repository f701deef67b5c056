"""A plugin of vaebench: an engine that runs each cell as a job of a Slurm cluster, by submitit."""

import math
import time
from collections.abc import Generator
from dataclasses import replace
from typing import Any, Literal

import submitit

from bench.cells.events import Done, Event, Note, failed
from bench.engines import Engine, Job
from bench.engines.local import Local
from bench.errors import MachineError, UsageError
from bench.records import provenance
from bench.records.record import Cell

DEVICES = ("auto", "cpu", "cuda")


class Slurm(Engine):
    """Jobs of a cluster whose nodes share this machine's file system and environment.

    Args:
        partition: of the cluster; by default its own choice.
        account: that is charged; by default its own choice.
        gpus: GPUs of each cell.
        cluster: `local` runs the jobs as processes of this machine, without Slurm.
        poll_s: seconds between two looks at the queue.
    """

    measures_speed = False

    def __init__(
        self,
        partition: str | None = None,
        account: str | None = None,
        gpus: int = 0,
        cluster: Literal["slurm", "local"] = "slurm",
        poll_s: float = 1.0,
    ) -> None:
        self.asks = {"slurm_partition": partition, "slurm_account": account, "gpus_per_node": gpus or None}
        self.gpus, self.cluster, self.poll_s = gpus, cluster, poll_s

    def device(self, asked: str) -> str:
        """`auto` is `cuda` where cells have GPUs. UsageError for what no cell will have."""
        if asked not in DEVICES or (asked == "cuda" and not self.gpus):
            raise UsageError(f"no device {asked!r} with engine slurm: choose cpu, or cuda with --engine-option gpus=1")
        return ("cuda" if self.gpus else "cpu") if asked == "auto" else asked

    def events(self, job: Job) -> Generator[Event]:
        """What each cell told, once its job has ended."""
        waiting, running = list(reversed(job.cells)), dict[Any, Cell]()
        try:
            executor = submitit.AutoExecutor(folder=job.out.resolve() / "slurm", cluster=self.cluster)
        except RuntimeError as error:
            raise MachineError(f"no Slurm here ({error}): run where sbatch is, or try cluster=local") from error
        asks = {key: value for key, value in self.asks.items() if value is not None}
        # The supervisor on the node ends a cell that takes too long; Slurm ends the supervisor, should it hang.
        executor.update_parameters(timeout_min=math.ceil(job.timeout_s / 60) + 5, **asks)
        try:
            while waiting or running:
                while waiting and len(running) < (job.side_by_side or math.inf):
                    cell = waiting.pop()
                    executor.update_parameters(cpus_per_task=cell["threads"])
                    running[executor.submit(_work, replace(job, cells=[cell], out=job.out.resolve()))] = cell
                for sent in [sent for sent in running if sent.done()]:
                    cell = running.pop(sent)
                    if error := sent.exception():
                        reason = f"its job {sent.job_id} was lost: {type(error).__name__}"
                        yield failed(job.kind, cell, job.provenance, reason)
                    else:
                        yield from sent.result()
                time.sleep(self.poll_s)
        finally:
            for sent in running:
                sent.cancel()


def _work(job: Job) -> list[Event]:
    """On a node: supervise one cell, as on any machine."""
    here = provenance.provenance()
    job = replace(job, provenance=job.provenance | {key: here[key] for key in ("platform", "cpu_count")})
    return [event for event in Local().events(job) if isinstance(event, Note | Done)]
