"""What is compared: tasks, contestants, comparisons with their targets. Needs no torch.

The figures below are the benchmark's settings: rounds of different settings are never put together.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Block = dict[str, Any]

ROUNDS = 7
# What a profile tells apart.
GROUPS = (
    "matrix products and convolutions",
    "elementwise and reductions",
    "random numbers",
    "optimiser",
    "copies and allocation",
    "the rest (Python, dispatch)",
)


@dataclass(frozen=True)
class Settings:
    """The work that every contestant does, and which they share."""

    hidden: int = 512  # units of the one hidden layer of encoder and decoder
    latent: int = 20
    batch: int = 128  # examples per training step of the MLP
    lr: float = 1e-3  # Adam's step size
    block: int = 12_800  # examples of a training block of the MLP, one pass over so many images
    conv_latent: int = 16
    conv_batch: int = 64
    conv_block: int = 128
    eval_batch: int = 250  # a block is the test split
    nll_samples: int = 5_000  # importance samples per image
    nll_batch: int = 100  # rows that pythae computes at once; its default
    nll_images: int = 20  # images of a block
    samples: int = 10_000  # images drawn from the prior in a call
    sample_calls: int = 12  # of a block
    sample_batch: int = 500  # of which pythae draws so many at once; its default
    # Validation ELBO in nats at which training stops. Written down before any contestant was timed, after one short
    # trial: it takes about one and a half passes.
    elbo: float = -110.0
    elbo_every: int = 50  # training steps between two looks of the judge
    elbo_images: int = 2_000  # evenly spaced validation images that it looks at
    elbo_passes: int = 10  # passes after which a training that has not reached it has failed
    limit_batch: int = 512  # examples per step where training is held against the machine's limit
    # Products of two n x n matrices in a block, by n.
    matmul_repeats: dict[int, int] = field(default_factory=lambda: {1024: 24, 2048: 3})


SETTINGS = Settings()


@dataclass(frozen=True)
class Job:
    """One contestant's work for one task, prepared."""

    # Does one block of the given round and returns `units` (how much was done), and `seconds` where it stopped the
    # clock itself, else the worker's clock counts.
    block: Callable[[int], Block]
    warm_up: Callable[[], object] | None = None  # once before the first round, by default a block
    # Where the time of a block goes: group of operations -> share of its wall time.
    profile: Callable[[], dict[str, float]] | None = None


@dataclass(frozen=True)
class Contestant:
    """Who does a task: `prepare(task, threads=..., **options) -> Job` of a module, in processes of its own."""

    name: str
    module: str
    options: dict[str, Any] = field(default_factory=dict)
    processes: int = 1  # that run side by side and share the threads; their rates add up
    bf16: bool = False  # whether it needs a processor with bf16 arithmetic


@dataclass(frozen=True)
class Task:
    """What is timed, and by whom, in the order of the first round."""

    name: str
    title: str
    unit: str  # of `units` per second; "s" where seconds are shown
    contestants: tuple[Contestant, ...]
    most_rounds: int | None = None

    @property
    def shows_seconds(self) -> bool:
        """Whether a block is one undivided thing, whose seconds are shown instead of a rate."""
        return self.unit == "s"


@dataclass(frozen=True)
class Comparison:
    """A ratio of two speeds within each round, above 1 where `ours` is faster, and what it should be at least."""

    task: str
    words: str
    ours: tuple[str, ...]  # of which the best stands
    theirs: tuple[str, ...]
    target: float | None = None


OURS, PYTHAE, EXAMPLE = "vaebench", "pythae", "example script"
COMPILED, PAIR = "vaebench compiled", "vaebench, two processes"
BF16, BF16_COMPILED = "vaebench bf16", "vaebench bf16 compiled"
PYTHAE_PAIR = "pythae, two processes"
# As our cells are: freed memory stays with the process, see `bench.device.keep_memory`.
PYTHAE_KEEPS = "pythae keeping memory"
SIZES = tuple(SETTINGS.matmul_repeats)
MATMULS = tuple(f"matrix product {n}" for n in SIZES)
TRAIN_LIMIT, NLL_LIMIT = f"training, batch {SETTINGS.limit_batch}", "NLL"
# As cells are trained.
MATMUL_ONE, ONE_LIMIT = f"{MATMULS[0]}, one thread", f"training, batch {SETTINGS.batch}, one thread"

_HERE = "tests.performance.peers"
_OURS, _PYTHAE = f"{_HERE}.ours", f"{_HERE}.with_pythae"

_ours, _example = Contestant(OURS, _OURS), Contestant(EXAMPLE, f"{_HERE}.example")
_pythae = Contestant(PYTHAE, _PYTHAE), Contestant(PYTHAE_KEEPS, _PYTHAE, {"keep": True})
_settings = (
    Contestant(COMPILED, _OURS, {"precision": "fp32+compile"}),
    Contestant(BF16, _OURS, {"precision": "bf16"}, bf16=True),
    Contestant(BF16_COMPILED, _OURS, {"precision": "bf16+compile"}, bf16=True),
)
_pairs = Contestant(PAIR, _OURS, processes=2), Contestant(PYTHAE_PAIR, _PYTHAE, {"keep": True}, processes=2)
_limits = (
    *(Contestant(name, _OURS, {"limit": "matmul", "n": n}) for name, n in zip(MATMULS, SIZES, strict=True)),
    Contestant(TRAIN_LIMIT, _OURS, {"limit": "train", "n": SETTINGS.limit_batch}),
    Contestant(MATMUL_ONE, _OURS, {"limit": "matmul", "n": SIZES[0], "threads": 1}),
    Contestant(ONE_LIMIT, _OURS, {"limit": "train", "n": SETTINGS.batch, "threads": 1}),
    Contestant(NLL_LIMIT, _OURS, {"limit": "nll"}),
)

_S = SETTINGS
_mlp, _conv = f"training the MLP, batch {_S.batch}", f"training the conv net, batch {_S.conv_batch}"
_reach = f"time to a validation ELBO of {_S.elbo:g} nats"
_TASKS = (
    Task("train_mlp", _mlp, "images/s", (_ours, *_settings, _pairs[0], *_pythae, _pairs[1], _example)),
    Task("train_conv", _conv, "images/s", (_ours, *_settings, *_pythae)),
    Task("evaluate", "evaluation: ELBO of the test split", "images/s", (_ours, *_pythae, _example)),
    Task("nll", f"NLL, {_S.nll_samples:,} samples", "images/s", (_ours, *_pythae)),
    Task("sample", "sampling from the prior", "images/s", (_ours, *_pythae)),
    Task("time_to_elbo", _reach, "s", (_ours, *_pythae, _example), most_rounds=3),
    Task("limits", "share of the rate of matrix products", "GFLOP/s", _limits),
)
TASKS = {task.name: task for task in _TASKS}

_THEIRS = (PYTHAE, PYTHAE_KEEPS)
_BEST = (OURS, COMPILED, BF16, BF16_COMPILED)
COMPARISONS = (
    Comparison("train_mlp", "fp32 against pythae", (OURS,), _THEIRS, 1.0),
    Comparison("train_mlp", "best setting against pythae", _BEST, _THEIRS, 1.0),
    Comparison("train_mlp", "two processes against two of pythae's", (PAIR,), (PYTHAE_PAIR,), 1.0),
    Comparison("train_mlp", "our fastest against pythae's fastest", (*_BEST, PAIR), (*_THEIRS, PYTHAE_PAIR), 1.0),
    Comparison("train_mlp", "fp32 against the example script", (OURS,), (EXAMPLE,), 1.0),
    Comparison("train_conv", "fp32 against pythae", (OURS,), _THEIRS, 1.0),
    Comparison("train_conv", "best setting against pythae", _BEST, _THEIRS, 1.0),
    Comparison("evaluate", "against pythae", (OURS,), _THEIRS, 1.0),
    Comparison("evaluate", "against the example script", (OURS,), (EXAMPLE,), 1.0),
    Comparison("nll", "against pythae", (OURS,), _THEIRS, 1.0),
    Comparison("sample", "against pythae", (OURS,), _THEIRS, 1.0),
    Comparison("time_to_elbo", "against pythae", (OURS,), _THEIRS, 1.0),
    Comparison("time_to_elbo", "against the example script", (OURS,), (EXAMPLE,), 1.0),
    Comparison("limits", TRAIN_LIMIT, (TRAIN_LIMIT,), MATMULS, 0.6),
    Comparison("limits", ONE_LIMIT, (ONE_LIMIT,), (MATMUL_ONE,), 0.7),
    Comparison("limits", NLL_LIMIT, (NLL_LIMIT,), MATMULS, 0.65),
)


def settings() -> dict[str, Any]:
    """The settings as JSON gives them back."""
    return dataclasses.asdict(SETTINGS) | {
        "matmul_repeats": {str(n): count for n, count in SETTINGS.matmul_repeats.items()}
    }


def has_bf16() -> bool:
    """Whether this processor has bf16 arithmetic, as far as its system says."""
    try:
        words = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        return False
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(words)
