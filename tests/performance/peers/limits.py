"""The machine's own limit, and this suite's work in the same unit."""

import torch

from bench.cells.clock import matrix_flops
from tests.performance.peers import ours
from tests.performance.peers.plan import SETTINGS, Block, Job


def matmul(n: int, repeats: int) -> Job:
    """Products of two n x n matrices in fp32, 2 n^3 operations each, one after the other."""
    a, b, out = torch.rand(n, n), torch.rand(n, n), torch.empty(n, n)

    def block(_: int) -> Block:
        for _ in range(repeats):
            torch.mm(a, b, out=out)
        return {"units": repeats * 2 * n**3 / 1e9}

    return Job(block)


def _in_flops(job: Job) -> Job:
    """The same job, counting operations instead of images. Counted once, by running a block."""
    total = matrix_flops(lambda: job.block(0)) / 1e9

    def block(number: int) -> Block:
        job.block(number)
        return {"units": total}

    return Job(block, profile=job.profile)


def prepare(task: str, *, threads: int, work: str, n: int = 0) -> Job:  # noqa: ARG001 - all are called alike
    """Prepare a matrix product, training at the limit's batch size, or the NLL; units are 10^9 operations."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    if work == "matmul":
        return matmul(n, SETTINGS.matmul_repeats[n])
    return _in_flops(ours.training(SETTINGS.limit_batch) if work == "train" else ours.nll())
