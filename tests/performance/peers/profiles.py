"""Where the time goes."""

import re
import time
from collections.abc import Callable

import torch

from tests.performance.peers.plan import GROUPS, Block, Job

MATRIX, ELEMENTWISE, RANDOM, OPTIMISER, COPIES, REST = GROUPS
# The first pattern that fits the beginning of an operation's name decides. What is left of torch's own operations
# computes number by number or sums.
_PATTERNS = (
    (OPTIMISER, r"Optimizer\.|aten::_(fused|foreach)"),
    (MATRIX, r"aten::(addmm|mm|bmm|baddbmm|addmv|mv|addbmm|dot|linear|matmul|_?mkldnn_|_?conv|thnn_|_?slow_)"),
    (RANDOM, r"aten::(normal|rand|uniform|bernoulli|exponential|random_)"),
    (
        COPIES,
        r"aten::(copy_|_?to|_to_copy|clone|contiguous|empty|new_|zeros|ones|full|fill_|zero_|resize|cat|stack|index|"
        r"_?pin|constant_pad|scalar_tensor|lift)",
    ),
    (REST, r"(?!aten::)|aten::(view|_?reshape|expand|as_strided|t$|transpose|unsqueeze|squeeze|select|slice|detach|"
           r"alias|narrow|split|chunk|unbind|permute|unflatten|flatten|item|_local|result_type|is_nonzero|_unsafe_view)"),
    (ELEMENTWISE, r""),
)  # fmt: skip


def group_of(name: str) -> str:
    """The group of an operation as the profiler names it, `"aten::addmm"` or `"autograd::engine::..."`."""
    return next(group for group, pattern in _PATTERNS if re.match(pattern, name))


def shares(call: Callable[[], object]) -> dict[str, float]:
    """Profile one call: group -> share of its wall time. What is in no operation, Python above all, is in the rest."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        start = time.perf_counter()
        call()
        wall = 1e6 * (time.perf_counter() - start)
    found = dict.fromkeys(GROUPS, 0.0)
    for event in profiler.key_averages():
        found[group_of(event.key)] += event.self_cpu_time_total / wall
    found[REST] = 1 - sum(share for group, share in found.items() if group != REST)
    return found


def work(call: Callable[[int], object], units: float) -> Job:
    """A job whose block is one call, given the round's number, that can say where its time goes."""

    def block(number: int) -> Block:
        call(number)
        return {"units": units}

    return Job(block, profile=lambda: shares(lambda: block(0)))
