"""Inference gaps, the parts of the ELBO, and log p(x) between its bounds."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.pages.figures.bars import (
    NORMAL,
    RING,
    add_legend,
    columns,
    dash,
    left_out,
    measured,
    paired_bars,
    rows_axis,
    spread_out,
    stacked,
    write_value,
    zero_based,
)
from bench.pages.figures.plot import Plot, View
from bench.pages.figures.style import COLOURS, INK, add_title, panels
from bench.records.record import Record
from bench.stats import metrics as known
from bench.stats.groups import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def inference_gaps(view: View) -> "Figure | None":
    """What inference loses, split into approximation and amortisation, and what other Gaussians would lose.

    Drawn for every row that has both gaps of its own posterior family, with a Gaussian that can be optimised.

    Source: Cremer, Li and Duvenaud 2018, arXiv:1801.03558.
    """
    parts = {"approximation gap (posterior family)": COLOURS[0], "amortisation gap (encoder)": COLOURS[1]}
    families = {"the best diagonal Gaussian": "#9fc9e6", "the best full Gaussian": "#0b3c5d"}
    rows = measured(view.group, "approximation_gap_nats", "amortisation_gap_nats")
    if not rows:
        return None
    best = {row: columns(row, "approximation_gap_diagonal_nats", "approximation_gap_full_nats") for row in rows}
    across = 2 if any(map(len, best.values())) else 1
    with panels(2 + 4 * across, 1.3 + 0.5 * len(rows), across=across, sharey=True) as (figure, axes):
        stacked(axes[0], rows, parts)
        axes[0].set_xlabel("inference gap (nats), not ranked")
        note = (
            f"{'Left: ' if across == 2 else ''}log p(x) - ELBO, what inference loses per example; a weak decoder has a "
            "small one, too. Bar: mean over seeds; point: the sum of one seed; black line: its 95 % bootstrap interval "
            "(from 3 seeds on)."
        )
        if across == 2:
            paired_bars(axes[1], best, families)
            axes[1].set_xlabel("approximation gap (nats), decoder fixed")
            note += (
                " Right: what the best Gaussian for each single example would lose; the distance from the light bar to "
                "the dark one is what a full covariance buys."
            )
        rows_axis(axes[0], list(rows))
        missing = left_out(view.group, list(rows), "approximation_gap_nats", "posterior is no Gaussian")
        add_title(figure, f"Inference gaps: {view.where}", note + missing)
    return figure


def elbo_surgery(view: View) -> "Figure | None":
    """The KL of the ELBO as mutual information plus the KL of the aggregate posterior to the prior.

    Source: Hoffman and Johnson 2016, "ELBO surgery: yet another way to carve up the variational evidence lower bound".
    """
    parts = {"mutual information of x and z": COLOURS[2], "marginal KL(q(z) || p(z))": COLOURS[4]}
    rows = measured(view.group, "mutual_information_nats", "marginal_kl_nats")
    if not rows:
        return None
    counts: set[Any] = {record.latent.get("points") for row in rows for record in row.ok} - {None}
    with panels(9.5, 1.3 + 0.5 * len(rows)) as (figure, (axis,)):
        stacked(axis, rows, parts)
        note = (
            "The rate is how much a code tells of its example (mutual information) plus how far all codes together are "
            "from the prior (marginal KL). Bar: mean over seeds; point: the sum of one seed; black line: its 95 % "
            "bootstrap interval (from 3 seeds on)."
        )
        # Rows that were measured on different numbers of points have no bound in common.
        if len(counts) == 1:
            (points,) = counts
            most = math.log(points)
            label = f"log {points:,} = {most:.2f}"
            axis.axvline(most, color=INK, linestyle="--", linewidth=1.2, label=label, zorder=2)
            axis.set_xlim(right=max(axis.get_xlim()[1], 1.05 * most))
            add_legend(axis, parts)
            note += f" Dashed: no more mutual information can be seen in {points:,} examples than their logarithm."
            at_most = [row.label for row in rows if float(rows[row].mean(0)[0]) > CEILING * most]
            if at_most:
                _hatch(axis, [y for y, row in enumerate(rows) if row.label in at_most], len(parts))
                note += " Hatched: at this ceiling, so that the split says no more than that the true one is larger."
        axis.set_xlabel("KL(q(z|x) || p(z)) (nats per example), neither high nor low is better")
        rows_axis(axis, list(rows))
        add_title(figure, f"What the KL is made of: {view.where}", note + left_out(view.group, list(rows)))
    return figure


# So near to the logarithm of the examples an estimate of mutual information says only that it is larger.
CEILING = 0.95


def _hatch(axis: "Axes", places: Sequence[int], parts: int) -> None:
    """Strokes over the first of so many parts of these bars."""
    for y in places:
        axis.patches[y * parts].set(hatch="///", edgecolor=(1, 1, 1, 0.5))


_BOUNDS = ("bdmc_lower_nats", "bdmc_upper_nats")


def evidence(view: View) -> "Figure | None":
    """How well log p(x) is known: between two bounds on simulated data, and by two estimators on test examples.

    Source: Grosse, Ghahramani and Adams 2015, arXiv:1511.02543; Wu et al. 2017, arXiv:1611.04273.
    """
    group = view.group
    sandwich = measured(group, *_BOUNDS)
    # The most importance samples make the tightest estimate.
    weighted = [name for name in group.metrics if re.fullmatch(r"nll_is\d+_nats", name)][-1:]
    estimates = measured(group, *weighted, "nll_ais_nats") if weighted else {}
    rows = [row for row in group.rows if row in sandwich or row in estimates]
    if not rows:
        return None
    drawn = [each for each in (sandwich, estimates) if each]
    note = ""
    with panels(1.6 + 4.6 * len(drawn), 1.3 + 0.5 * len(rows), across=len(drawn), sharey=True) as (figure, axes):
        for axis, each in zip(axes, drawn, strict=True):
            for y, row in enumerate(rows):
                if row not in each:
                    dash(axis, y)
        if sandwich:
            _sandwich(axes[0], rows, sandwich)
            note += (
                "Simulated data, drawn from each model itself, so only the widths compare: log p(x) lies between a "
                "lower and an upper bound in expectation; bar: mean width over seeds; point: one seed; line: 95 % "
                "Monte Carlo interval. "
            )
        if estimates:
            _estimates(axes[-1], rows, estimates, (*weighted, "nll_ais_nats"))
            note += (
                "Test data: both estimates are at most log p(x) in expectation; mark: mean over seeds; point: one "
                "seed; line: 95 % Monte Carlo interval of one run. The error of the choice of test examples is not "
                "drawn, and they need not be the same for both."
            )
        rows_axis(axes[0], rows)
        add_title(figure, f"How well log p(x) is known: {view.where}", note.strip() + left_out(group, rows))
    return figure


def _sandwich(axis: "Axes", rows: Sequence[Row], bounds: Mapping[Row, np.ndarray]) -> None:
    """The width between the bounds `[seeds, 2]` of every row as a bar, with both bounds beside it."""
    ends = [0.0]
    for y, row in enumerate(rows):
        if row in bounds:
            lower, upper = bounds[row].T
            width = upper - lower
            seeds = set.intersection(*(set(row.values(metric)) for metric in _BOUNDS))
            reach = NORMAL * np.array([_width_error(record) for record in row.ok if record.cell["seed"] in seeds])
            axis.barh(y, width.mean(), height=0.62, color="#9fc9e6", linewidth=0)
            heights = y + spread_out(len(width), 0.2)
            axis.hlines(heights, width - reach, width + reach, color=INK, linewidth=1.2, zorder=3)
            axis.scatter(width, heights, s=16, linewidth=1, **RING)
            ends.append(max(0.0, float((width + reach).max())))
            write_value(axis, y, ends[-1], f"{lower.mean():.2f} to {upper.mean():.2f}")
    axis.set_title("simulated data: lower to upper bound", fontsize=11)
    axis.set_xlabel("upper - lower bound (nats), narrower is surer ←")
    zero_based(axis, ends, room=1.6)


def _estimates(axis: "Axes", rows: Sequence[Row], by_row: Mapping[Row, np.ndarray], metrics: tuple[str, ...]) -> None:
    """For every row one line per metric, which estimates -log p(x): `[seeds, metrics]`."""
    labels = [known.metric(metrics[0]).label.removeprefix("NLL (").removesuffix(")"), "AIS"]
    for index, (label, colour, marker) in enumerate(zip(labels, (COLOURS[0], COLOURS[1]), "os", strict=True)):
        middle, height, reach = [], [], []
        for y, row in enumerate(rows):
            if row in by_row:
                values = -by_row[row][:, index]
                middle.append(values.mean())
                height.append(y + 0.3 * (index - 0.5))
                # All seeds are measured with the same random numbers, so their errors do not simply average out.
                reach.append(NORMAL * (row.error(metrics[index], "mc") or 0.0))
                axis.scatter(values, [height[-1]] * len(values), s=9, color=colour, alpha=0.5, linewidth=0, zorder=3)
        axis.hlines(height, np.subtract(middle, reach), np.add(middle, reach), color=colour, linewidth=1.6, zorder=2)
        mark: Any = {"marker": marker, "facecolor": "white", "edgecolor": colour, "linewidth": 1.5, "label": label}
        axis.scatter(middle, height, s=34, zorder=4, **mark)
    axis.set_title("test data", fontsize=11)
    axis.legend(loc="lower right", bbox_to_anchor=(1.01, 1.0), ncols=2, frameon=False, fontsize=10, borderaxespad=0.1)
    axis.set_xlabel("log p(x) (nats per example), higher is better →")
    axis.grid(axis="y", visible=False)
    axis.locator_params(axis="x", nbins=6)


def _width_error(record: Record) -> float:
    """Monte Carlo standard error of the width between the bounds; what is not known counts as 0."""
    width, *ends = ((record.errors.get(metric) or {}).get("mc") for metric in ("bdmc_gap_nats", *_BOUNDS))
    return math.hypot(*(end or 0.0 for end in ends)) if width is None else float(width)


PLOTS = [
    Plot("inference_gaps", "group", inference_gaps, order=5, compares=("approximation_gap_nats",)),
    Plot("elbo_surgery", "group", elbo_surgery, order=6, compares=("mutual_information_nats",)),
    Plot("evidence", "group", evidence, order=9, compares=("bdmc_gap_nats", "nll_ais_nats")),
]
