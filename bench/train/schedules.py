"""Schedules of the step size."""

import math
from collections.abc import Callable


def _burda2015(progress: float) -> float:
    # Stage i of eight lasts 3^i of 3,280 parts.
    stage = next(i for i in range(8) if i == 7 or progress < (3 ** (i + 1) - 1) / 2 / 3280)
    return float(10 ** (-stage / 7))


def _geometric(progress: float) -> float:
    return float(10 ** (-math.ceil((progress - 0.25) / 0.75 * 7 + 1e-9) / 7)) if progress >= 0.25 else 1.0


def _warmup_cosine(progress: float) -> float:
    # From a hundredth on, for a first step of size zero would teach nothing.
    if progress < 0.05:
        return 0.01 + 0.99 * progress / 0.05
    return 0.5 * (1 + math.cos(math.pi * (progress - 0.05) / 0.95))


# Schedules of the step size: the share of training that is done, in [0, 1) -> factor.
SCHEDULES: dict[str, Callable[[float], float]] = {
    # Falls to zero over the whole run: Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts.
    "cosine": lambda progress: 0.5 * (1 + math.cos(math.pi * progress)),
    "constant": lambda _: 1.0,
    # Eight stages, each three times as long as the one before and 10^(1/7) times lower: Burda, Grosse and Salakhutdinov
    # 2016, arXiv:1509.00519, section 5; there 3,280 epochs.
    "burda2015": _burda2015,
    # For short runs: full size for a quarter, then seven equal stages down to a tenth.
    "geometric": _geometric,
    "linear": lambda progress: 1 - progress,
    # Up in a straight line for the first twentieth, then as "cosine": Goyal et al. 2017, arXiv:1706.02677, section 2.2.
    "warmup_cosine": _warmup_cosine,
}
