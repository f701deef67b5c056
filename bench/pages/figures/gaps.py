"""Inference gaps, the parts of the ELBO, and log p(x) between its bounds."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.pages.figures.bars import (
    NORMAL,
    add_legend,
    columns,
    left_out,
    measured,
    paired_bars,
    rows_axis,
    stacked,
    where_of,
    write_value,
    zero_based,
)
from bench.pages.figures.style import COLOURS, INK, QUIET, add_title, house_style, new_figure
from bench.records.record import Record
from bench.stats import metrics as known
from bench.stats.groups import Group, Row
from bench.text import DASH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def inference_gaps(group: Group) -> "Figure | None":
    """What inference loses, split into approximation and amortisation, and what other Gaussians would lose.

    Drawn for every row that has both gaps of its own posterior family, with a Gaussian that can be optimised.

    Source: Cremer, Li and Duvenaud 2018, arXiv:1801.03558.
    """
    parts = {"approximation gap (posterior family)": COLOURS[0], "amortisation gap (encoder)": COLOURS[1]}
    families = {"the best diagonal Gaussian": "#9fc9e6", "the best full Gaussian": "#0b3c5d"}
    own = measured(group, "approximation_gap_nats", "amortisation_gap_nats")
    if not own:
        return None
    best = {row: columns(row, "approximation_gap_diagonal_nats", "approximation_gap_full_nats") for row in own}
    rows = list(own)
    with house_style():
        panels = 2 if any(map(len, best.values())) else 1
        figure = new_figure(6 + 4 * (panels - 1), 1.3 + 0.5 * len(rows))
        axes = figure.subplots(1, panels, sharey=True, squeeze=False)[0]
        stacked(axes[0], own, parts)
        axes[0].set_xlabel("inference gap (nats), lower is tighter ←")
        for axis in axes[1:]:
            paired_bars(axis, best, families)
            axis.set_xlabel("approximation gap (nats), lower is tighter ←")
        rows_axis(axes[0], rows)
        note = (
            f"{'Left: ' if panels == 2 else ''}log p(x) - ELBO, what inference loses per example. Bar: mean over "
            "seeds; point: the sum of one seed; black line: its 95 % bootstrap interval (from 3 seeds on)."
        )
        if panels == 2:
            note += (
                " Right: what the best Gaussian for each single example would lose; the distance from the light bar to "
                "the dark one is what a full covariance buys."
            )
        missing = left_out(group, rows, "approximation_gap_nats", "posterior is no Gaussian")
        add_title(figure, f"Inference gaps: {where_of(group)}", note + missing)
    return figure


def elbo_surgery(group: Group) -> "Figure | None":
    """The KL of the ELBO as mutual information plus the KL of the aggregate posterior to the prior.

    Source: Hoffman and Johnson 2016, "ELBO surgery: yet another way to carve up the variational evidence lower bound".
    """
    parts = {
        "mutual information of x and z": COLOURS[2],
        "marginal KL(q(z) || p(z))": COLOURS[4],
    }
    rows = measured(group, "mutual_information_nats", "marginal_kl_nats")
    if not rows:
        return None
    counts: set[Any] = {record.latent.get("points") for row in rows for record in row.ok} - {None}
    with house_style():
        figure = new_figure(9.5, 1.3 + 0.5 * len(rows))
        axis = figure.subplots()
        stacked(axis, rows, parts)
        note = (
            "The rate is how much a code tells of its example (mutual information) plus how far all codes together are "
            "from the prior (marginal KL). Bar: mean over seeds; point: the sum of one seed; black line: its 95 % "
            "bootstrap interval (from 3 seeds on)."
        )
        # Rows that were measured on different numbers of points have no bound in common.
        if len(counts) == 1:
            (points,) = counts
            axis.axvline(
                math.log(points),
                color=INK,
                linestyle="--",
                linewidth=1.2,
                label=f"log {points:,} = {math.log(points):.2f}",
            )
            axis.set_xlim(right=max(axis.get_xlim()[1], 1.05 * math.log(points)))
            add_legend(axis, parts)
            note += f" Dashed: no more mutual information can be seen in {points:,} examples than their logarithm."
        axis.set_xlabel("KL(q(z|x) || p(z)) (nats per example), neither high nor low is better")
        rows_axis(axis, list(rows))
        add_title(figure, f"What the KL is made of: {where_of(group)}", note + left_out(group, list(rows)))
    return figure


_BOUNDS = ("bdmc_lower_nats", "bdmc_upper_nats")


def evidence(group: Group) -> "Figure | None":
    """How well log p(x) is known: between two bounds on simulated data, and by two estimators on test examples.

    Source: Grosse, Ghahramani and Adams 2015, arXiv:1511.02543; Wu et al. 2017, arXiv:1611.04273.
    """
    sandwich = measured(group, *_BOUNDS)
    # The most importance samples make the tightest estimate.
    weighted = [name for name in group.metrics if re.fullmatch(r"nll_is\d+_nats", name)][-1:]
    estimates = measured(group, *weighted, "nll_ais_nats") if weighted else {}
    rows = [row for row in group.rows if row in sandwich or row in estimates]
    if not rows:
        return None
    panels = [found for found in (sandwich, estimates) if found]
    note = ""
    with house_style():
        figure = new_figure(1.6 + 4.6 * len(panels), 1.3 + 0.5 * len(rows))
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axis, found in zip(axes, panels, strict=True):
            for place, row in enumerate(rows):
                if row not in found:
                    axis.text(0.01, place, DASH, transform=axis.get_yaxis_transform(), va="center", color=QUIET)
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
        add_title(figure, f"How well log p(x) is known: {where_of(group)}", note.strip() + left_out(group, rows))
    return figure


def _sandwich(axis: "Axes", rows: Sequence[Row], found: Mapping[Row, np.ndarray]) -> None:
    """The width between the bounds `[seeds, 2]` of every row as a bar, with both bounds beside it."""
    ends = [0.0]
    for place, row in enumerate(rows):
        if row in found:
            lower, upper = found[row].T
            width = upper - lower
            seeds = set.intersection(*(set(row.values(metric)) for metric in _BOUNDS))
            reach = NORMAL * np.array([_width_error(record) for record in row.ok if record.cell["seed"] in seeds])
            axis.barh(place, width.mean(), height=0.62, color="#9fc9e6", linewidth=0)
            heights = place + (np.linspace(-0.2, 0.2, len(width)) if len(width) > 1 else np.zeros(1))
            axis.hlines(heights, width - reach, width + reach, color=INK, linewidth=1.2, zorder=3)
            axis.scatter(width, heights, s=16, facecolor="white", edgecolor=INK, linewidth=1.0, zorder=4)
            ends.append(max(0.0, float((width + reach).max())))
            write_value(axis, place, ends[-1], f"{lower.mean():.2f} to {upper.mean():.2f}")
    axis.set_title("simulated data: lower to upper bound", fontsize=11)
    axis.set_xlabel("upper - lower bound (nats), narrower is surer ←")
    zero_based(axis, ends, room=1.6)


def _estimates(axis: "Axes", rows: Sequence[Row], found: Mapping[Row, np.ndarray], metrics: tuple[str, ...]) -> None:
    """For every row one line per metric, which estimates -log p(x): `[seeds, metrics]`."""
    labels = [known.metric(metrics[0]).label.removeprefix("NLL (").removesuffix(")"), "AIS"]
    for index, (label, colour, marker) in enumerate(zip(labels, (COLOURS[0], COLOURS[1]), "os", strict=True)):
        middle, height, reach = [], [], []
        for place, row in enumerate(rows):
            if row in found:
                values = -found[row][:, index]
                middle.append(values.mean())
                height.append(place + 0.3 * (index - 0.5))
                # All seeds are measured with the same random numbers, so their errors do not simply average out.
                reach.append(NORMAL * (row.error(metrics[index], "mc") or 0.0))
                axis.scatter(values, [height[-1]] * len(values), s=9, color=colour, alpha=0.5, linewidth=0, zorder=3)
        axis.hlines(height, np.subtract(middle, reach), np.add(middle, reach), color=colour, linewidth=1.6, zorder=2)
        axis.scatter(
            middle,
            height,
            s=34,
            marker=marker,
            facecolor="white",
            edgecolor=colour,
            linewidth=1.5,
            zorder=4,
            label=label,
        )
    axis.set_title("test data", fontsize=11)
    axis.legend(loc="lower right", bbox_to_anchor=(1.01, 1.0), ncols=2, frameon=False, fontsize=10, borderaxespad=0.1)
    axis.set_xlabel("log p(x) (nats per example), higher is better →")
    axis.grid(axis="y", visible=False)
    axis.locator_params(axis="x", nbins=6)


def _width_error(record: Record) -> float:
    """Monte Carlo standard error of the width between the bounds; what is not known counts as 0."""
    width, *ends = ((record.errors.get(metric) or {}).get("mc") for metric in ("bdmc_gap_nats", *_BOUNDS))
    return math.hypot(*(end or 0.0 for end in ends)) if width is None else float(width)
