"""What grows with what: the series of the growth benchmark, the law expected of each beforehand, and how a law is read
off measured points. Needs no torch."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

# A fitted slope may lie above the expected one by so much: the noise of timings on a shared machine.
SLACK = 0.15
# Less memory than this above the floor counts as this: libraries and allocators come and go by a few megabytes.
LEAST_MB = 10.0


@dataclass(frozen=True)
class Series:
    """One line of the plot: the same work at rising sizes.

    Attributes:
        name: names the series in files and on the command line.
        axis: what grows, one of `AXES`.
        label: what the work is.
        sizes: ascending.
        work: what the seconds are seconds of.
        time: log-log slope of the time that is expected at most.
        memory: the same of the peak memory above the floor.
        why: the reason for both.
    """

    name: str
    axis: str
    label: str
    sizes: tuple[int, ...]
    work: str
    time: float
    memory: float
    why: str


# Axis -> what it counts.
AXES = {"data": "examples N", "latent": "latent size d", "samples": "importance samples K", "cells": "cells"}

_LATENT = (2, 5, 10, 20, 50, 100, 200)
SERIES = (
    Series(
        "data_resident",
        "data",
        "resident",
        (5_000, 10_000, 20_000, 50_000),
        "training pass",
        1,
        1,
        "a pass sees every example once, and all of them lie in memory",
    ),
    Series(
        "data_streamed",
        "data",
        "streamed",
        (1_000, 4_000, 8_000),
        "training pass",
        1,
        0,
        "a pass sees every example once, and holds a few batches",
    ),
    Series(
        "latent_diagonal",
        "latent",
        "diagonal",
        _LATENT,
        "training step",
        1,
        1,
        "two vectors of length d",
    ),
    Series(
        "latent_low_rank",
        "latent",
        "low rank",
        _LATENT,
        "training step",
        1,
        1,
        "a factor of d x rank, the rank fixed",
    ),
    Series(
        "latent_full",
        "latent",
        "full covariance",
        _LATENT,
        "training step",
        2,
        2,
        "the encoder's last layer gives a triangle of d (d + 1) / 2 numbers; at small d the other layers hide it",
    ),
    Series(
        "samples_evidence",
        "samples",
        "log p(x)",
        (50, 150, 450, 1_300, 5_000),
        "image",
        1,
        0,
        "draws are made and reduced in turns of a fixed size",
    ),
    Series(
        "cells_report_seeds",
        "cells",
        "report, more seeds",
        (10, 100, 1_000),
        "report",
        1,
        1,
        "ten rows of more and more seeds; all records are held, and each is read once",
    ),
    Series(
        "cells_report_rows",
        "cells",
        "report, more rows",
        (10, 40, 160),
        "report",
        1,
        1,
        "one seed each of more and more variants: tables and plots are as long as they have rows",
    ),
    Series(
        "cells_report_data",
        "cells",
        "report, more data sets",
        (10, 20, 40),
        "report",
        1,
        1,
        "ten cells on more and more data sets, each with tables and plots of its own",
    ),
    Series(
        "cells_supervisor",
        "cells",
        "supervisor",
        (4, 12, 36),
        "suite, without the cells' own training and measuring",
        1,
        0,
        "a process is started, a record received and written for each cell in turn",
    ),
)
# Series that read files, which are made beforehand.
WITH_FILES = ("data_streamed",)


@dataclass(frozen=True)
class Law:
    """y = fixed + c x^exponent, fitted by least squares of relative errors.

    Attributes:
        fixed: the part that does not grow.
        exponent: of the part that grows; None where that is less than a tenth of the whole at the largest x.
    """

    fixed: float
    exponent: float | None


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Slope of log y over log x by least squares, over the upper half of the points, at least two.

    Args:
        x: `[n]`, ascending, above 0, n at least 2.
        y: `[n]`, above 0.
    """
    upper = slice(-max(2, math.ceil(len(x) / 2)), None)
    return statistics.linear_regression([math.log(a) for a in x[upper]], [math.log(a) for a in y[upper]]).slope


def law(x: Sequence[float], y: Sequence[float]) -> Law:
    """The fixed part of y and the exponent of the rest, by trying exponents from 0.1 to 4.

    Args:
        x: `[n]`, ascending, above 0, n at least 4 (three numbers are fitted).
        y: `[n]`, above 0.
    """
    best: tuple[float, float, float, float] | None = None
    for exponent in (step / 20 for step in range(2, 81)):
        # Relative errors: every line is divided by its y, so that it reads 1 = fixed / y + c x^exponent / y.
        u, v = [1 / value for value in y], [(a / x[-1]) ** exponent / value for a, value in zip(x, y, strict=True)]
        uu, uv, vv = (sum(a * b for a, b in zip(p, q, strict=True)) for p, q in ((u, u), (u, v), (v, v)))
        determinant = uu * vv - uv * uv
        if determinant <= 1e-12 * uu * vv:
            continue
        fixed, grown = (vv * sum(u) - uv * sum(v)) / determinant, (uu * sum(v) - uv * sum(u)) / determinant
        if fixed < 0:
            fixed, grown = 0.0, sum(v) / vv
        error = sum((fixed * a + grown * b - 1) ** 2 for a, b in zip(u, v, strict=True))
        if best is None or error < best[0]:
            best = error, fixed, grown, exponent
    if best is None:
        return Law(statistics.fmean(y), None)
    _, fixed, grown, exponent = best
    return Law(fixed, exponent if grown > 0.1 * (fixed + grown) else None)


def verdict(found: float, expected: float) -> str:
    """`"within"`, or `"steeper than expected"` where the slope leaves the slack. Less than expected is welcome."""
    return "within" if found <= expected + SLACK else "steeper than expected"


def select(axes: Sequence[str]) -> list[Series]:
    """The series of these axes, in the order of `SERIES`."""
    return [series for series in SERIES if series.axis in axes]
