"""What grows with what: the series of the growth benchmark, the law expected of each beforehand, and how a law is read
off measured points. Needs no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import nnls

Point = dict[str, Any]

# The series of a process that has imported everything and does nothing.
FLOOR = "floor"
# A fitted slope may lie above the expected one by so much: the noise of timings on a shared machine.
SLACK = 0.15
# Less memory than this above the floor counts as this: libraries and allocators come and go by a few megabytes.
LEAST_MB = 10.0


@dataclass(frozen=True)
class Series:
    """One line of the plot: the same work at rising sizes.

    Attributes:
        name: its axis, one of `AXES`, and what is on it.
        label: what the work is.
        sizes: ascending.
        work: what the seconds are seconds of.
        time: log-log slope of the time that is expected at most.
        memory: the same of the peak memory above the floor.
        why: the reason for both.
    """

    name: str
    label: str
    sizes: tuple[int, ...]
    work: str
    time: float
    memory: float
    why: str

    @property
    def axis(self) -> str:
        """What grows."""
        return self.name.partition("_")[0]


# Axis -> what it counts.
AXES = {"data": "examples N", "latent": "latent size d", "samples": "importance samples K", "cells": "cells"}

_LATENT = (2, 5, 10, 20, 50, 100, 200)
# fmt: off
SERIES = (
    Series("data_resident", "resident", (5_000, 10_000, 20_000, 50_000), "training pass", 1, 1,
           "a pass sees every example once, and all of them lie in memory"),
    Series("data_streamed", "streamed", (1_000, 4_000, 8_000), "training pass", 1, 0,
           "a pass sees every example once, and holds a few batches"),
    Series("latent_diagonal", "diagonal", _LATENT, "training step", 1, 1, "two vectors of length d"),
    Series("latent_low_rank", "low rank", _LATENT, "training step", 1, 1, "a factor of d x rank, the rank fixed"),
    Series("latent_full", "full covariance", _LATENT, "training step", 2, 2,
           "the encoder's last layer gives a triangle of d (d + 1) / 2 numbers; at small d the other layers hide it"),
    Series("samples_evidence", "log p(x)", (50, 150, 450, 1_300, 5_000), "image", 1, 0,
           "draws are made and reduced in turns of a fixed size"),
    Series("cells_report_seeds", "report, more seeds", (10, 100, 1_000), "report", 1, 1,
           "ten rows of more and more seeds; all records are held, and each is read once"),
    Series("cells_report_rows", "report, more rows", (10, 40, 160), "report", 1, 1,
           "one seed each of more and more variants: tables and plots are as long as they have rows"),
    Series("cells_report_data", "report, more data sets", (10, 20, 40), "report", 1, 1,
           "ten cells on more and more data sets, each with tables and plots of its own"),
    Series("cells_supervisor", "supervisor", (4, 12, 36), "suite, without the cells' own training and measuring", 1, 0,
           "a process is started, a record received and written for each cell in turn"),
)
# fmt: on
# Series that read files, which are made beforehand.
WITH_FILES = ("data_streamed",)


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Slope of log y over log x by least squares, over the upper half of the points, at least two.

    Args:
        x: `[n]`, ascending, above 0, n at least 2.
        y: `[n]`, above 0.
    """
    upper = slice(-max(2, (len(x) + 1) // 2), None)
    return float(np.polyfit(np.log(x[upper]), np.log(y[upper]), 1)[0])


def exponent(x: Sequence[float], y: Sequence[float]) -> float | None:
    """e of y = fixed + c x^e by least squares of relative errors, fixed and c at least 0; e is one of 0.1, 0.15 ... 4.

    Args:
        x: `[n]`, ascending, above 0, n at least 4 (three numbers are fitted).
        y: `[n]`, above 0.

    Returns:
        None where what grows is less than a tenth of the whole at the largest x.
    """

    def fit(e: float) -> tuple[float, float, float]:
        # Relative errors: every line is divided by its y.
        powers = np.stack([np.ones(len(x)), (np.asarray(x) / x[-1]) ** e], 1)
        (fixed, grown), error = nnls(powers / np.asarray(y)[:, None], np.ones(len(x)))
        return error, e, grown / (fixed + grown)

    _, best, share = min(fit(step / 20) for step in range(2, 81))
    return best if share > 0.1 else None


def verdict(measured: float, expected: float) -> str:
    """`"within"`, or `"steeper than expected"` where the slope leaves the slack. Less than expected is welcome."""
    return "within" if measured <= expected + SLACK else "steeper than expected"


def select(axes: Sequence[str]) -> list[Series]:
    """The series of these axes, in the order of `SERIES`."""
    return [series for series in SERIES if series.axis in axes]
