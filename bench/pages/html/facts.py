"""Comparison groups -> the JSON from which the script of a report draws, with the tidy data of the runs.

Every text in it that states a figure or a verdict is the program's own, word for word as elsewhere; the script only
chooses, sorts and draws.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.data.sets import classes
from bench.pages import tables
from bench.pages.figures.elbo import curve_of, seconds_an_epoch
from bench.pages.figures.style import contrast, look, mixed
from bench.pages.grids import number
from bench.records.record import Record, Timed
from bench.stats import metrics as known
from bench.stats.answer import compared
from bench.stats.groups import Group, Row, after, value_of
from bench.stats.intervals import Marks
from bench.stats.learning import BOUND, RECONSTRUCTION
from bench.stats.ranks import Ranks
from bench.stats.speeds import Throughput
from bench.text import short

# Of so many rows every pair is compared; of more, of the best.
MOST_PAIRED = 20
# Points of a latent plane, and ellipses among them.
PLACED, ELLIPSES = 200, 24
# The ground of a dark page, and the least contrast of a mark with it.
DARK, LEAST_CONTRAST = "#14171b", 3.2

Artefacts = Mapping[str, Mapping[str, np.ndarray]]


def metric_facts(groups: Sequence[Group]) -> dict[str, Any]:
    """Name -> what a column or an axis says of a metric."""
    names = known.ordered(name for group in groups for name in group.metrics)
    facts = {}
    for name in names:
        entry = known.metric(name)
        facts[name] = {
            **{"label": entry.label, "header": entry.header, "unit": entry.unit, "better": entry.better},
            **{"digits": entry.digits, "ranked": entry.ranked, "theme": entry.theme, "says": entry.says},
        }
    return facts


def group_facts(group: Group, timed: Throughput, artefacts: Artefacts, most: int, most_runs: int) -> dict[str, Any]:
    """One comparison group.

    Args:
        group: it.
        timed: the speeds of its data set.
        artefacts: what its runs have kept.
        most: rows that are shown.
        most_runs: runs of each row that are listed and drawn; its figures are of all.
    """
    rows = group.rows[:most]
    columns, cells = _columns(group, timed, most)
    return {
        "id": group.id,
        "name": name(group),
        "where": f"{group.dataset} {after(group.settings)}",
        "after": after(group.settings),
        "of": len(group.rows),
        "metrics": [metric for metric in group.metrics if any(row.values(metric) for row in rows)],
        "columns": columns,
        "rows": [_row(row, cells[place], artefacts, most_runs) for place, row in enumerate(rows)],
        "pairs": _pairs(group, rows[:MOST_PAIRED]),
        "paired": min(len(rows), MOST_PAIRED),
        "class_names": list(classes(group.settings["dataset"])),
    }


def rank_facts(found: Ranks) -> dict[str, Any]:
    """Mean ranks over data sets, and which of them differ."""
    rows = {row.label: row for group in found.groups for row in group.rows}
    each = [
        {"label": label, "mean": statistics.fmean(places), **_style(rows[label])}
        for label, places in found.ranks.items()
    ]
    return {"rows": each, "critical": found.critical, "tied": found.tied}


def name(group: Group) -> str:
    """`"mnist-dynamic, binary likelihood"`, and what sets it apart from groups of that name."""
    apart = f" ({group.distinction})" if group.distinction else ""
    return f"{group.dataset}, {group.settings['support']} likelihood{apart}"


def _columns(group: Group, timed: Throughput, most: int) -> tuple[list[dict[str, Any]], list[list[Any]]]:
    """What can stand in the table of scores, and the cells of the first rows: value, text, and `"best"`, `"learning"`
    or nothing."""
    rows = group.rows[:most]
    names = [metric for metric in group.metrics if any(row.values(metric) for row in group.rows)]
    if any(row.values("train_s") for row in group.rows):
        names.append("train_s")
    columns = [_column(metric, metric, known.metric(metric).header) for metric in names]
    cells: list[list[Any]] = [[] for _ in rows]
    for metric in names:
        entry = known.metric(metric)
        _, lines = tables.quality_grid(group, [metric], most)
        marks = group.marks.get(metric, Marks())
        for place, row in enumerate(rows):
            summary = row.summary(metric)
            if summary is None:
                cells[place].append(None)
                continue
            text = number(summary.mean, entry.digits) if entry.is_cost else lines[place][2].text.removesuffix(" †")
            mark = "learning" if row.label in marks.learning else "best" if row.label in marks.best else ""
            cells[place].append([summary.mean, text, mark, summary.half_width, summary.n])
    for label, column in timed.columns.items():
        for metric in tables.TIMED:
            values = [_speed(column.get(row.name), metric) for row in rows]
            if any(values):
                columns.append(_column(f"{metric}@{label}", metric, f"{known.metric(metric).header}, {label}"))
                for place, value in enumerate(values):
                    cells[place].append(value)
    return columns, cells


def _column(key: str, metric: str, header: str) -> dict[str, Any]:
    entry = known.metric(metric)
    facts = {"key": key, "metric": metric, "header": header, "theme": entry.theme, "says": entry.says}
    return {**facts, "better": entry.better, "digits": entry.digits}


def _speed(record: Record | None, metric: str) -> list[Any] | None:
    """Median, text, no mark, and the quartiles."""
    value = record.metrics.get(metric) if record and record.status == "ok" else None
    digits = known.metric(metric).digits
    if isinstance(value, Timed) and value.median is not None:
        text = tables.block_text(value, digits)
        return [value.median, text, "", None, len(value.blocks), value.q1, value.q3]
    if isinstance(value, int | float):
        return [value, tables.block_text(value, digits), "", None, 1]
    return None


def _row(row: Row, cells: list[Any], artefacts: Artefacts, most_runs: int) -> dict[str, Any]:
    return {
        "label": row.label,
        "variant": row.variant,
        "count": row.count,
        "ok": len(row.ok),
        "total": len(row.records),
        **_style(row),
        "cells": cells,
        "curve": _curve(row),
        "gain": _gain(row),
        "kl": _spectrum(row),
        "plane": _plane(row, artefacts),
        "norms": _path(row, artefacts, "prior_norms", "aggregate_norms", every=5),
        "reliability": _path(row, artefacts, "reliability_mean", "reliability_share"),
        "classes": _path(row, artefacts, "class_labels", "class_elbo"),
        "runs": [_run(record) for record in row.records[:most_runs]],
    }


def _style(row: Row) -> dict[str, Any]:
    style = look(row.variant, row.overrides)
    return {"colour": [style.colour, on_dark(style.colour)], "marker": style.marker}


def _run(record: Record) -> dict[str, Any]:
    """A run as one line of tidy data."""
    source = record.provenance
    facts: dict[str, Any] = {"id": record.id, "seed": record.cell["seed"], "status": record.status}
    if record.reason:
        facts["reason"] = record.reason
    facts |= {"commit": short(source.commit or "unknown"), "device": source.device_name or str(record.cell["device"])}
    facts |= {"started": source.started} if source.started else {}
    values = {metric: value_of(record, metric) for metric in [*record.metrics, "train_s"]}
    facts["values"] = {metric: value for metric, value in values.items() if value is not None and math.isfinite(value)}
    return facts


def _pairs(group: Group, rows: Sequence[Row]) -> dict[str, Any]:
    """`"i,j"` -> metric -> difference of row i from row j, its interval, the verdict, and how the sentence ends."""
    ranked = [metric for metric in group.metrics if known.metric(metric).ranked]
    pairs: dict[str, Any] = {}
    for i, a in enumerate(rows):
        for j, b in enumerate(rows):
            told: dict[str, Any] = {}
            for metric in ranked if i != j else ():
                if a.values(metric) and b.values(metric):
                    comparison, words = compared(group, a, b, metric)
                    head = f"{a.label} against {b.label} on {group.dataset} {after(group.settings)}: "
                    numbers = (comparison.difference, comparison.low, comparison.high)
                    told[metric] = [*map(_rounded, numbers), comparison.verdict, words.removeprefix(head)]
            if told:
                pairs[f"{i},{j}"] = told
    return pairs


def _rounded(value: float | None, digits: int = 6) -> float | None:
    """For a place in a plot, which six significant digits decide."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.{digits}g}")


def _curve(row: Row) -> dict[str, Any] | None:
    """Validation ELBO by epoch: mean over the ok seeds, lowest and highest; and seconds, of which every epoch takes
    an equal share of the whole training."""
    curves = [points for record in row.ok if (points := curve_of(record))]
    epochs = sorted(set.intersection(*map(set, curves))) if curves else []
    if not epochs:
        return None
    values = [[curve[epoch] for curve in curves] for epoch in epochs]
    facts: dict[str, Any] = {
        "epochs": epochs,
        "mean": [_rounded(sum(each) / len(each), 7) for each in values],
        "low": [_rounded(min(each), 7) for each in values],
        "high": [_rounded(max(each), 7) for each in values],
    }
    if (each := seconds_an_epoch(row)) is not None:
        facts["seconds"] = [_rounded(epoch * each, 5) for epoch in epochs]
    return facts


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _gain(row: Row) -> float | None:
    """What training still gained per doubling, in nats, mean over seeds."""
    gains = [gain.nats for gain in (row.gains(BOUND) or row.gains(RECONSTRUCTION)).values()]
    return _rounded(sum(gains) / len(gains), 5) if gains else None


def _spectrum(row: Row) -> list[float | None]:
    """KL of each latent dimension, the largest first, mean over seeds of the sorted values."""
    spectra = [record.latent.get("kl_per_dim") for record in row.ok]
    sorted_ones = [sorted(each, reverse=True) for each in spectra if isinstance(each, Sequence) and each]
    if not sorted_ones or len({len(each) for each in sorted_ones}) > 1:
        return []
    return [_rounded(sum(each) / len(each), 4) for each in zip(*sorted_ones, strict=True)]


def _plane(row: Row, artefacts: Artefacts) -> dict[str, Any] | None:
    """Points on the two most active latent axes with their classes, and covariances of the first of them."""
    kept = next((artefacts[record.id] for record in row.ok if record.id in artefacts), {})
    if any(key not in kept for key in ("latent_mean", "latent_cov", "latent_axes", "labels")):
        return None
    mean, covariance = kept["latent_mean"][:PLACED], kept["latent_cov"][:ELLIPSES]
    if mean.ndim != 2 or mean.shape[1] != 2 or not np.isfinite(mean).all() or not np.isfinite(covariance).all():
        return None
    return {
        "axes": [int(axis) for axis in kept["latent_axes"]],
        "points": np.round(mean.astype(float), 2).tolist(),
        "ellipses": [[_rounded(float(c[a][b]), 3) for a, b in ((0, 0), (0, 1), (1, 1))] for c in covariance],
        "labels": [int(label) for label in kept["labels"][: len(mean)]],
        "prior": row.model.prior == "standard_normal" and row.model.posterior != "deterministic",
    }


def _path(row: Row, artefacts: Artefacts, x: str, y: str, every: int = 1) -> list[list[float | None]]:
    """Points of two arrays that the first run which kept any has, `[[x, y], ...]`."""
    kept = next((artefacts[record.id] for record in row.ok if record.id in artefacts), {})
    if x not in kept or y not in kept or kept[x].ndim != 1 or kept[x].shape != kept[y].shape:
        return []
    pairs = zip(kept[x].tolist()[::every], kept[y].tolist()[::every], strict=True)
    return [[_rounded(a, 5), _rounded(b, 5)] for a, b in pairs if math.isfinite(a) and math.isfinite(b)]


def on_dark(colour: str) -> str:
    """The colour, as much lighter as it must be to be seen on a dark page."""
    tints = (mixed(colour, 255, step / 20) for step in range(21))
    return next(tint for tint in tints if contrast(tint, DARK) >= LEAST_CONTRAST)
